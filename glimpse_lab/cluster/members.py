"""The runs of a group, trained as tasks of a cluster."""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from glimpse_lab.cli.ending import FORESEEN, told
from glimpse_lab.cluster.connection import Task
from glimpse_lab.cluster.tasks import Tasks
from glimpse_lab.runs import Run, RunError
from glimpse_lab.sweeps.groups import output_file

#: seconds that runs have to save after Ctrl-C
_SAVING = 60.0
#: seconds that a machine taken for dead has to let go of a run; NFS keeps its locks for 90
_DYING = 120.0


class ClusterMembers:
    """Workers that are tasks of the cluster that this process is connected to.

    Each resumes its run as ``train.py --resume`` does, in a process of its own. One whose machine
    dies begins anew on another, from the run's last checkpoint: the folder of the runs is on a disk
    that all machines share.

    :param task: what all have in common
    :param jobs: how many at a time
    :param settings: further arguments of :func:`glimpse_lab.resume`
    """

    def __init__(self, task: Task, jobs: int, **settings: Any) -> None:
        self.task, self.jobs, self.settings = task, jobs, settings
        self.tasks = Tasks(_train_member, task)

    def begin(self, member: Run) -> str:
        """Submit the task of a member."""
        path = member.path
        name = f"{path.parent.name}/{path.name}"
        self.tasks.begin(path, str(path), self.task, self.settings, name=name)
        return f" (its output: {output_file(member)})"

    def ended(self) -> dict[Path, str | None]:
        """Return members whose tasks have ended, and why they failed."""
        ended = self.tasks.ended()
        return {} if ended is None else {ended.key: ended.failed}

    def stop(self) -> None:
        """Interrupt all tasks, and wait until they have saved."""
        try:
            if late := self.tasks.interrupt(_SAVING):
                print(
                    f"{late} did not save within {_SAVING:.0f} s: their last checkpoints are kept"
                )
        except KeyboardInterrupt:  # once more: do not wait for their saving
            self.tasks.kill()


def _train_member(path: str, task: Task, settings: dict[str, Any]) -> None:
    """Go on with a run and write its output to a file in it.

    :param path: of the run directory
    """
    from glimpse_lab.api import resume

    task.begin()
    run = Path(path)
    if not (run / "config.yml").exists():
        raise RunError(
            f"{socket.gethostname()} does not see {run.resolve()}: put --runs on a disk that all "
            "machines of the cluster share"
        )
    _wait_until_free(run)
    with (
        (run / "output.log").open("a", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        print(f"on {socket.gethostname()}, process {os.getpid()}")
        try:
            resume(run, device=task.device, packages=task.packages, **settings)
        except KeyboardInterrupt as interrupt:
            print(interrupt)
            raise
        except Exception as error:
            if not isinstance(error, FORESEEN):
                traceback.print_exc()
            print(f"error: {told(error)}")
            raise


def _wait_until_free(run: Path) -> None:
    """Wait for a process that trained the run where a machine has just been taken for dead."""
    lock = FileLock(run / "training.lock")
    with contextlib.suppress(Timeout):  # the training will say so
        lock.acquire(timeout=_DYING)
        lock.release()
