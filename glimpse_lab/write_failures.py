"""What it was that kept a file from being written."""

from __future__ import annotations


def interrupted(error: BaseException, earlier: BaseException | None) -> bool:
    """Whether it was Ctrl-C that an error came of, and not one that was there before."""
    found: BaseException | None = error
    while found is not None and found is not earlier:
        if isinstance(found, KeyboardInterrupt):
            return True
        found = found.__context__
    return False


def write_failure(error: BaseException) -> str:
    """Return in words of the system why a file could not be written.

    PyTorch tells of its own source ("enforce fail at ..."), and the system's words come before it.

    :param error: as a library raised it
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError):
            return found.strerror or str(found)
        found = found.__cause__ or found.__context__
    return "the disk may be full" if "enforce fail" in str(error) else str(error)
