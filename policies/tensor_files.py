"""Files of tensors that may come from a stranger: no code runs, and nothing blows up."""

import io
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import torch as th

#: bytes; a longer file is no agent of ours
LARGEST_CHECKPOINT = 4 * 2**30


def read_regular(path: Path, largest: int) -> bytes:
    """Return what a file holds.

    :param path: of a regular file: neither a device nor a pipe, which might never end
    :param largest: bytes
    :raises OSError: if it cannot be read, is no regular file, or is larger
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is no regular file")
        if status.st_size > largest:
            raise OSError(f"{path} has {status.st_size:,} bytes; wanted at most {largest:,}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(largest)
    finally:
        os.close(descriptor)


def check_archive(archive: zipfile.ZipFile) -> None:
    """Check that a zip file holds plain files, once each and not compressed, as SB3 writes them.

    What is not compressed takes no more memory than the file is long.

    :raises ValueError: if not
    """
    names = archive.namelist()
    if len(set(names)) < len(names):
        raise ValueError("a member is there twice")
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or Path(member.filename).name != member.filename:
            raise ValueError(f"member {member.filename!r} is no plain file")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"member {member.filename!r} is compressed; SB3 writes none")


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of a member, whose checksum is right.

    :raises ValueError: as :func:`check_archive`
    """
    check_archive(archive)
    return archive.read(name)


def load_tensors(data: bytes, device: Any = "cpu") -> Any:
    """Return the tensors and plain types that PyTorch wrote; no code can hide in them.

    :param data: of a file of ``torch.save``
    :raises ValueError: for a file whose tensors are compressed, which PyTorch never does
    """
    file = io.BytesIO(data)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if any(member.file_size != member.compress_size for member in archive.infolist()):
                raise ValueError("its tensors are compressed")
            if sum(member.file_size for member in archive.infolist()) > len(data):
                raise ValueError("its tensors overlap")
        file.seek(0)
    return th.load(file, map_location=device, weights_only=True)
