"""Files that appear whole or not at all, and what is left of those that did not."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glimpse_envs.files import check_writable, remove_leftovers, replacing


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "a" / "x.txt"
    with replacing(file) as temporary:
        temporary.write_text("1")
        assert not file.exists() and temporary.suffix == ".txt"
    with pytest.raises(ZeroDivisionError), replacing(file) as temporary:
        temporary.write_text("2")
        raise ZeroDivisionError
    assert file.read_text() == "1" and list(file.parent.iterdir()) == [file]


def test_leftovers_of_ended_processes_alone_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ours = [f".model.glimpse-tmp-{pid}.zip" for pid in (ended.pid, os.getpid())]
    kept = [".nfs.0123", ".a.b", ".model.123.zip", ".x.glimpse-tmp-.zip", ".git"]
    kept += [f".model.glimpse-tmp-{os.getppid()}.zip"]  # written at this moment
    for name in [*ours, *kept]:
        (tmp_path / name).touch()
    (tmp_path / ".y.glimpse-tmp-1.d").mkdir()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, ".y.glimpse-tmp-1.d"}
    remove_leftovers(tmp_path / "nowhere")


def test_what_a_killed_write_leaves_is_recognised(tmp_path: Path) -> None:
    with replacing(tmp_path / "events.out.123.0") as temporary:
        temporary.touch()
        remove_leftovers(tmp_path)
        assert not temporary.exists()
        temporary.touch()


def test_another_machine_on_the_same_disk_is_left_to_write(tmp_path: Path) -> None:
    writing, abandoned = (tmp_path / f".{name}.glimpse-tmp-1-elsewhere.pt" for name in "ab")
    for file in (writing, abandoned):
        file.touch()
    two_hours_ago = time.time() - 7200
    os.utime(abandoned, (two_hours_ago, two_hours_ago))
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [writing]
    with replacing(tmp_path / "c.pt") as temporary:
        temporary.touch()
        assert temporary.name.startswith(f".c.glimpse-tmp-{os.getpid()}-")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for folder in (Path("/proc/nowhere"), tmp_path / "file" / "x"):
        with pytest.raises(OSError, match="cannot be written to"):
            check_writable(folder)
