"""Connecting to a Ray cluster, and what all its tasks have in common."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glimpse_lab.runs import RunError
from glimpse_lab.sweeps.groups import this_package_first

try:
    import ray
except ImportError:  # an extra; ``check_ray`` says so
    ray = None

#: seconds that an address has to answer
_PATIENCE = 10.0
#: how often a task begins anew elsewhere after its worker or machine has died
RETRIES = 5
#: names of this process's settings that its tasks on other machines need
_PASSED_ON = ("GLIMPSE_DATA_DIR",)


@dataclass(frozen=True)
class Task:
    """What each task of a cluster is asked for, and where it works.

    :param device: that PyTorch knows; another than the CPU reserves a graphics card
    :param threads: of PyTorch, as many cores as are reserved
    :param packages: of the user's own, imported first
    :param folder: in which the task works, as the command that asks for it does
    """

    device: str = "cpu"
    threads: int = 1
    packages: tuple[str, ...] = ()
    folder: str = "."

    def options(self) -> dict[str, Any]:
        """Return the options of Ray: a process of its own, begun anew after a death."""
        return {
            "num_cpus": self.threads,
            "num_gpus": int(self.device != "cpu"),
            "max_calls": 1,
            "max_retries": RETRIES,
        }

    def begin(self) -> None:
        """Make the process of a worker what a process of ``train.py`` is.

        :raises RunError: if the machine does not have the folder
        """
        import torch as th

        from glimpse_lab.recipes import trust

        try:
            os.chdir(self.folder)
        except OSError as error:
            raise RunError(
                f"{socket.gethostname()} has no folder {self.folder} ({error.strerror}): work in "
                "one on a disk that all machines of the cluster share"
            ) from error
        th.set_num_threads(self.threads)
        trust(self.packages)


def check_ray() -> None:
    """Check that Ray is there.

    :raises ValueError: if not
    """
    if ray is None:
        raise ValueError('--cluster needs Ray: pip install -e ".[ray]"')


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to a cluster; what this process has running there ends with it.

    :param address: "auto" for the cluster that this machine belongs to, HOST:PORT of its head, or
        "local" for one that is made of this machine, and ends again
    :raises ValueError: if Ray is not installed
    :raises RunError: if no cluster answers
    """
    check_ray()
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "//" not in address:
        _check_answer(host, int(port))
    elif address not in ("auto", "local"):
        raise ValueError(
            f"got --cluster {address}; wanted auto, local, or HOST:PORT as ray start --head says it"
        )
    variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if data := variables.get("GLIMPSE_DATA_DIR"):
        variables["GLIMPSE_DATA_DIR"] = str(Path(data).resolve())
    variables["PYTHONPATH"] = os.pathsep.join(this_package_first())
    try:
        ray.init(
            address,
            runtime_env={"env_vars": variables},
            log_to_driver=False,  # each run has its own file
            logging_level=logging.ERROR,
            **({"include_dashboard": False} if address == "local" else {}),
        )
    except Exception as error:  # Ray raises many kinds, plain ones too where starting takes long
        why = str(error).strip().partition("\n")[0]
        raise RunError(
            f"no Ray cluster answers at --cluster {address} ({why}): begin one with ray start "
            "--head, and join it on every machine with ray start --address HOST:PORT"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answer(host: str, port: int) -> None:
    """Raise a RunError where nobody listens: Ray itself would try for a minute."""
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError as error:
        raise RunError(
            f"no Ray cluster answers at --cluster {host}:{port} ({error.strerror or error}): begin "
            f"one there with ray start --head --port {port}"
        ) from error


def n_cores() -> int:
    """Return how many cores the cluster has now."""
    return int(ray.cluster_resources().get("CPU", 0))


def this_task(device: str, threads: int, packages: Sequence[str]) -> Task:
    """Return what tasks of this process have in common."""
    return Task(device, threads, tuple(packages), os.getcwd())


def default_jobs(task: Task) -> int:
    """Return how many tasks the cluster can do at the same time, at least one."""
    have = ray.cluster_resources()
    rooms = [have.get("CPU", 0) // task.threads]
    if task.device != "cpu":
        rooms.append(have.get("GPU", 0))
    return max(1, int(min(rooms)))


def reason(error: Exception) -> str:
    """Return in one line why a task has failed."""
    cause = getattr(error, "cause", None) or error
    text = str(cause).strip()
    if isinstance(cause, ray.exceptions.RayError):
        return f"its worker died, {RETRIES} times anew ({type(cause).__name__})"
    return " ".join(text.split()) or type(cause).__name__
