"""Connecting to a Ray cluster, and what all its tasks have in common."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from glimpse_lab.cli.ending import one_line
from glimpse_lab.runs import RunError
from glimpse_lab.sweeps.groups import this_package_first

try:
    import ray
except ImportError:  # an extra; ``check_asked`` says so
    ray = None

#: seconds that an address has to answer
_PATIENCE = 10.0
#: of PyTorch's devices, those that can be reserved; which card it is says Ray
_DEVICES = ("cpu", "cuda", "auto")
#: beginnings of the names of this process's settings that its tasks on other machines need
_PASSED_ON = ("GLIMPSE_DATA_DIR", "WANDB_")
#: which Ray would show to all who see its dashboard
_SECRET = "WANDB_API_KEY"


@dataclass(frozen=True)
class Task:
    """What each task of a cluster is asked for, and where it works.

    :param device: "cpu", or "cuda", for which a graphics card is reserved
    :param threads: of PyTorch, as many cores as are reserved
    :param packages: of the user's own, imported first
    :param folder: in which the task works, as the command that asks for it does
    """

    device: str = "cpu"
    threads: int = 1
    packages: tuple[str, ...] = ()
    folder: str = "."

    def options(self) -> dict[str, Any]:
        """Return the options of Ray: what is reserved, and a process for each task."""
        return {
            "num_cpus": self.threads,
            "num_gpus": int(self.device != "cpu"),
            "max_calls": 1,
            "max_retries": 0,  # see ``Tasks``
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


def check_asked(device: str) -> None:
    """Check what can be checked before a cluster is asked.

    :param device: that tasks are to use
    :raises ValueError: without Ray, or for a device that cannot be reserved
    """
    if ray is None:
        raise ValueError('--cluster needs Ray: pip install -e ".[ray]"')
    if device not in _DEVICES:
        raise ValueError(
            f"got --device {device} with --cluster; wanted one of {', '.join(_DEVICES)}: Ray "
            "chooses the card"
        )


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to a cluster; what this process has running there ends with it.

    :param address: "auto" for the cluster that this machine belongs to, HOST:PORT of its head, or
        "local" for one that is made of this machine, and ends again
    :raises ValueError: for another form of address
    :raises RunError: if no cluster answers, or one with another Ray or Python
    """
    host, colon, port = address.rpartition(":")
    if colon and "//" not in address and port.isascii() and port.isdigit() and int(port) < 2**16:
        _check_answer(host, int(port))
    elif address not in ("auto", "local"):
        raise ValueError(
            f"got --cluster {address}; wanted auto, local, or HOST:PORT as ray start --head says it"
        )
    try:
        _connect(address)
        yield
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    try:
        ray.init(
            address,
            runtime_env={"env_vars": _variables()},
            log_to_driver=False,  # each run has its own file
            logging_level=logging.ERROR,
            **({"include_dashboard": False} if address == "local" else {}),
        )
    except Exception as error:  # Ray raises many kinds, plain ones too where starting takes long
        why = one_line(error)
        if "Version mismatch" in why:
            raise RunError(
                f"--cluster {address}: {why}; wanted the same versions on all machines"
            ) from error
        raise RunError(
            f"no Ray cluster answers at --cluster {address} ({why}): begin one with ray start "
            "--head, and join it on every machine with ray start --address HOST:PORT"
        ) from error


def _variables() -> dict[str, str]:
    """Return the settings of this process that tasks on other machines need."""
    names = [name for name in os.environ if name.startswith(_PASSED_ON) and name != _SECRET]
    variables = {name: os.environ[name] for name in names}
    if data := variables.get("GLIMPSE_DATA_DIR"):
        variables["GLIMPSE_DATA_DIR"] = os.path.abspath(data)
    # absolute: a worker starts in a folder of Ray's
    path = os.pathsep.join(this_package_first()).split(os.pathsep)
    variables["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path))
    return variables


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
    """Return what tasks of this process have in common.

    :param device: "cpu", "cuda", or "auto": a graphics card where the cluster has some
    """
    if device == "auto":
        device = "cuda" if ray.cluster_resources().get("GPU") else "cpu"
    return Task(device, threads, tuple(packages), os.getcwd())


def default_jobs(task: Task) -> int:
    """Return how many tasks the cluster can do at the same time, at least one.

    :raises RunError: if it can do none: Ray would wait for a machine to join, without a word
    """
    jobs = 0
    for node in ray.nodes():
        if node["Alive"]:
            have = node["Resources"]
            rooms = [have.get("CPU", 0) // task.threads]
            if task.device != "cpu":
                rooms.append(have.get("GPU", 0))
            jobs += int(min(rooms))
    if not jobs:
        card = "" if task.device == "cpu" else " and a graphics card"
        raise RunError(
            f"no machine of the cluster has {task.threads} core(s){card} for a training; wanted "
            "less (--threads, --device), or a machine that has them"
        )
    return jobs
