"""The runs of a group, trained as tasks of a cluster."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock, Timeout

from glimpse_lab.cluster.connection import Task, reason
from glimpse_lab.runs import Run, RunError
from glimpse_lab.sweeps.groups import output_file

#: seconds that a machine taken for dead has to let go of a run
_PATIENCE = 60.0


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
        self.train = ray.remote(**task.options())(_train_member)
        self.running: dict[Any, Run] = {}

    def begin(self, member: Run) -> str:
        """Submit the task of a member."""
        answer = self.train.remote(str(member.path), self.task, self.settings)
        self.running[answer] = member
        return f" (its output: {output_file(member)})"

    def ended(self) -> dict[Path, str | None]:
        """Return members whose tasks have ended, and why they failed."""
        answers, _ = ray.wait(list(self.running), timeout=0.2)
        return {self.running[answer].path: self._reason(answer) for answer in answers}

    def stop(self) -> None:
        """Interrupt all tasks, and wait until they have saved."""
        for answer in self.running:
            ray.cancel(answer)
        try:
            ray.wait(list(self.running), num_returns=len(self.running) or 1, timeout=_PATIENCE)
        except KeyboardInterrupt:  # once more: do not wait for their saving
            for answer in self.running:
                ray.cancel(answer, force=True)

    def _reason(self, answer: Any) -> str | None:
        del self.running[answer]
        try:
            ray.get(answer)
        except Exception as error:  # whatever a training fails with
            return reason(error)
        return None


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
        except BaseException as error:
            print(f"{'' if isinstance(error, KeyboardInterrupt) else 'error: '}{error}")
            raise


def _wait_until_free(run: Path) -> None:
    """Wait for a process that trained the run where a machine has just been taken for dead."""
    lock = FileLock(run / "training.lock")
    with contextlib.suppress(Timeout):  # the training will say so
        lock.acquire(timeout=_PATIENCE)
        lock.release()
