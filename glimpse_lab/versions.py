"""What a result depends on beside its settings: the software."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path


def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    return dict(_versions())


@cache  # each reads a file of the package
def _versions() -> dict[str, str]:
    packages = ("glimpse-envs", "stable-baselines3", "sb3-contrib", "gymnasium", "torch", "numpy")
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache  # this process goes on with what it has imported, whatever is committed meanwhile
def git_commit() -> str | None:
    """Return the commit of this checkout, "+" if it has changes; None for an installed package."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    if not (Path(__file__).parents[1] / "train.py").exists():
        return None
    try:
        commit, changed = git("rev-parse", "--short", "HEAD"), git("status", "--porcelain")
        return f"{commit}+" if changed else commit
    except (OSError, subprocess.CalledProcessError):
        return None
