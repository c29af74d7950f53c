"""Groups of runs: several trainings under one name, each in a run directory of its own.

``runs/<env id>/<group>/.../seed<SEED>/``. The members are trained by workers, such as processes of
this machine, one after the other or some at a time; members that are finished are left as they are,
others go on from their last checkpoint, so that the same command goes on after any interruption.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from glimpse_lab.config import RunConfig
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.storage import StorageError, read_result
from glimpse_lab.inverse.result import InverseEvaluation
from glimpse_lab.kinds import GLIMPSE, INVERSE
from glimpse_lab.runs import Run, RunError
from glimpse_lab.sweeps.changes import Change
from glimpse_lab.training import make

#: of ``config.yml``: where a training ran, not what makes it the same as another
_ABOUT = ("format", "git", "versions")

#: what an evaluation gives
_RESULTS = {GLIMPSE: Evaluation, INVERSE: InverseEvaluation}


def digest(content: Any) -> str:
    """Return eight hexadecimal digits that tell settings from others."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def settings(config: RunConfig) -> dict[str, Any]:
    """Return what of a ``config.yml`` makes the training what it is."""
    return {key: value for key, value in config.to_dict().items() if key not in _ABOUT}


def is_finished(run: Run) -> bool:
    """Whether a run is trained to its end and evaluated."""
    return result_of(run) is not None


def result_of(run: Run) -> Evaluation | InverseEvaluation | None:
    """Return the evaluation of a run, None unless it is of the end of its training.

    :raises RunError: if its ``metrics.json`` is broken, or of another version
    """
    try:
        result = read_result(run.path / "metrics.json", _RESULTS[run.config.kind])
    except FileNotFoundError:
        return None
    except StorageError as error:
        raise RunError(f"{error}: python eval.py {run.path}") from error
    return result if result.timesteps >= run.config.n_timesteps else None


def make_members(
    folder: Path,
    seeds: Sequence[int],
    sweep: Sequence[Change],
    resolve: Callable[..., RunConfig],
) -> dict[Change | None, dict[int, Run]]:
    """Return the runs of a group, not yet written.

    For each change, or for None without a sweep, a run for each seed.

    :param folder: of the group
    :param resolve: gives the configuration of a ``seed`` and a ``change``
    """
    members = {}
    for change in sweep or [None]:
        inner = folder if change is None else folder / change.label
        members[change] = {
            seed: Run(inner / f"seed{seed}", resolve(seed=seed, change=change)) for seed in seeds
        }
    return members


def check_members(
    groups: Mapping[Any, Mapping[int, Run]], packages: Sequence[str], device: str
) -> None:
    """Check, before any is written, that members have settings that fit.

    And that those that are there already were made with the settings of now.

    :param groups: as ``make_members`` gives
    :param packages: of the user's own, imported already
    :param device: that they are trained on
    :raises RunError: if one was not, or a folder above one of them is a run itself
    :raises ValueError: for settings that make no model
    """
    for runs in groups.values():
        _check_folders(list(runs.values()), packages)
    for runs in groups.values():  # the seeds of a change have the same settings
        make(next(iter(runs.values())), device)


def _check_folders(members: Sequence[Run], packages: Sequence[str]) -> None:
    for member in members:
        for folder in member.path.parents[:2]:
            if (folder / "config.yml").exists():
                raise RunError(f"{folder} is a single run; choose another --name for the group")
        if not (member.path / "config.yml").exists():
            continue
        then, now = settings(Run.open(member.path, packages).config), settings(member.config)
        if changed := sorted(_differences(then, now)):
            raise RunError(
                f"{member.path} was made with other settings ({'; '.join(changed[:3])}); choose "
                "another --name, or give the settings of then"
            )


def _differences(then: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            text
            for key in then.keys() | now.keys()
            for text in _differences(then.get(key), now.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if then == now else [f"{name} was {then!r}, is {now!r}"]


def _say(line: str) -> None:
    print(line, flush=True)  # before what the members print


class Workers(Protocol):
    """What trains the members of a group.

    :ivar jobs: how many members at a time, at most
    """

    jobs: int

    def begin(self, member: Run) -> str:
        """Let a member be trained and evaluated; return in words where its output goes.

        :param member: written already; it goes on from its last checkpoint, if it has one
        """

    def ended(self) -> dict[Path, str | None]:
        """Return members that have ended since the last call: why they failed, None if not.

        Waits for a moment where there are none.
        """

    def stop(self) -> None:
        """Let all that are running save and stop, and wait for them."""


def train_group(
    folder: Path,
    members: Sequence[Run],
    workers: Workers,
    *,
    say: Callable[[str], Any] = _say,
) -> dict[Path, str]:
    """Train and evaluate the members that are not finished.

    :param folder: of the group
    :param members: below it
    :param workers: that train them
    :param say: called with a line about each member that begins or ends
    :return: why members failed, by their paths
    :raises KeyboardInterrupt: after all running members have saved and stopped
    """
    waiting = [member for member in members if not is_finished(member)]
    if done := len(members) - len(waiting):
        say(f"{done} of {len(members)} runs are finished already")
    names = {
        member.path: f"[{k}/{len(members)}] {member.path.relative_to(folder)}"
        for k, member in enumerate(members, 1)
    }
    running: dict[Path, Run] = {}
    failed: dict[Path, str] = {}
    # whatever ends this process ends the members too, which save first
    ends = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {end: signal.signal(end, _interrupt) for end in ends}
    try:
        while waiting or running:
            while waiting and len(running) < workers.jobs:
                member = waiting.pop(0)
                doing = "going on" if member.model_file.exists() else "training"
                if not (member.path / "config.yml").exists():
                    member.create()
                running[member.path] = member
                say(f"{names[member.path]}: {doing}{workers.begin(member)}")
            for path, reason in workers.ended().items():
                member = running.pop(path)
                if reason is None:
                    say(f"{names[path]}: {_in_a_line(member)}")
                else:
                    failed[path] = reason
                    say(f"{names[path]}: failed, {reason}")
    except BaseException:
        workers.stop()
        raise
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    return failed


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def output_file(member: Run) -> Path:
    """Return the file in a run directory that a member writes to in the place of a terminal."""
    return member.path / "output.log"


class Processes:
    """Workers that are processes of this machine, one for each member.

    One at a time writes to this terminal; several write to ``output.log`` in their run directories.

    :param command: ``train.py`` with what all have in common; ``--resume RUN_DIR`` is added
    :param jobs: how many at a time
    """

    def __init__(self, command: Sequence[str], jobs: int = 1) -> None:
        self.command, self.jobs = command, jobs
        self.running: dict[subprocess.Popen[bytes], Run] = {}

    def begin(self, member: Run) -> str:
        """Start the process of a member."""
        log: IO[bytes] | None = output_file(member).open("ab") if self.jobs > 1 else None
        try:
            process = subprocess.Popen(
                [*self.command, "--resume", str(member.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # a group of its own: Ctrl-C reaches this process alone, which passes it on once; a
                # second one would interrupt the saving
                process_group=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(this_package_first())},
            )
        finally:
            if log is not None:
                log.close()
        self.running[process] = member
        return f" (its output: {output_file(member)})" if self.jobs > 1 else ""

    def ended(self) -> dict[Path, str | None]:
        """Return members whose processes have ended, and why they failed."""
        ended = [process for process in self.running if process.poll() is not None]
        if not ended:
            time.sleep(0.1)
        members = {process: self.running.pop(process) for process in ended}
        return {member.path: self._reason(p, member) for p, member in members.items()}

    def stop(self) -> None:
        """Interrupt all processes, and wait until they have saved."""
        for process in self.running:
            process.send_signal(signal.SIGINT)
        try:
            for process in self.running:
                process.wait()
        except KeyboardInterrupt:  # once more: do not wait for their saving
            for process in self.running:
                process.kill()
                process.wait()

    def _reason(self, process: subprocess.Popen[bytes], member: Run) -> str | None:
        code = process.returncode
        if code == 0:
            return None
        if code == 130:
            return "stopped by a signal"
        if self.jobs == 1:
            return f"exit status {code}, its message is above"
        lines = output_file(member).read_text(errors="replace").strip().splitlines()
        # libraries may say something at exit, behind it
        said = [line for line in lines if line.startswith("error: ")] or lines or ["no output"]
        return f"exit status {code}: {said[-1]}"


def this_package_first() -> list[str]:
    """Return the search path of a worker: it trains with this very package, wherever it lies."""
    given = os.environ.get("PYTHONPATH")
    return [str(Path(__file__).parents[2]), *([given] if given else [])]


def _in_a_line(member: Run) -> str:
    result = result_of(member)
    if result is None:
        return "ended without metrics.json of the end of its training"
    if isinstance(result, InverseEvaluation):
        total = result.agent.total
        return f"type {100 * total.type_accuracy:.2f} %, similarity {total.mean_similarity:.3f}"
    if result.follows and result.tracking is not None:
        followed = result.tracking
        return f"on target {100 * followed.on_target:.2f} %, {followed.distance:.1f} pixels off"
    return f"accuracy {100 * result.accuracy:.2f} %, glimpses {result.mean_glimpses:.2f}"
