"""Groups of runs: several trainings under one name, each in a run directory of its own.

``runs/<env id>/<group>/.../seed<SEED>/``. The members are trained by processes of their own, one
after the other or some at a time; members that are finished are left as they are, others go on from
their last checkpoint, so that the same command goes on after any interruption.
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
from typing import IO, Any

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

_LOG = "output.log"

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


def train_group(
    folder: Path,
    members: Sequence[Run],
    command: Sequence[str],
    *,
    jobs: int = 1,
    say: Callable[[str], Any] = _say,
) -> dict[Path, str]:
    """Train and evaluate the members that are not finished, each in a process of its own.

    One at a time writes to this terminal; several write to ``output.log`` in their run directories.

    :param folder: of the group
    :param members: below it
    :param command: ``train.py`` with what all have in common; ``--resume RUN_DIR`` is added
    :param jobs: how many at a time
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
    running: dict[subprocess.Popen[bytes], Run] = {}
    failed: dict[Path, str] = {}
    # whatever ends this process ends the members too, which save first
    ends = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {end: signal.signal(end, _interrupt) for end in ends}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                member = waiting.pop(0)
                say(f"{names[member.path]}: {_doing(member, jobs)}")
                running[_start(member, command, jobs)] = member
            ended = [process for process in running if process.poll() is not None]
            for process in ended:
                member = running.pop(process)
                place = names[member.path]
                if process.returncode == 0:
                    say(f"{place}: {_in_a_line(member)}")
                else:
                    failed[member.path] = _reason(member, process.returncode, jobs)
                    say(f"{place}: failed, {failed[member.path]}")
            if not ended:
                time.sleep(0.1)
    except BaseException:
        _stop(list(running))
        raise
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    return failed


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _this_package_first() -> list[str]:
    """Return the search path of a member: it trains with this very package, wherever it lies."""
    given = os.environ.get("PYTHONPATH")
    return [str(Path(__file__).parents[2]), *([given] if given else [])]


def _start(member: Run, command: Sequence[str], jobs: int) -> subprocess.Popen[bytes]:
    if not (member.path / "config.yml").exists():
        member.create()
    log: IO[bytes] | None = (member.path / _LOG).open("ab") if jobs > 1 else None
    try:
        return subprocess.Popen(
            [*command, "--resume", str(member.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # a group of its own: Ctrl-C reaches this process alone, which passes it on once; a
            # second one would interrupt the saving
            process_group=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_this_package_first())},
        )
    finally:
        if log is not None:
            log.close()


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:  # once more: do not wait for their saving
        for process in processes:
            process.kill()
            process.wait()


def _doing(member: Run, jobs: int) -> str:
    begun = member.model_file.exists()
    log = f" (its output: {member.path / _LOG})" if jobs > 1 else ""
    return f"{'going on' if begun else 'training'}{log}"


def _in_a_line(member: Run) -> str:
    result = result_of(member)
    if result is None:
        return "ended without metrics.json of the end of its training"
    if isinstance(result, InverseEvaluation):
        total = result.agent.total
        return f"type {100 * total.type_accuracy:.2f} %, similarity {total.mean_similarity:.3f}"
    return f"accuracy {100 * result.accuracy:.2f} %, glimpses {result.mean_glimpses:.2f}"


def _reason(member: Run, code: int, jobs: int) -> str:
    if code == 130:
        return "stopped by a signal"
    if jobs == 1:
        return f"exit status {code}, its message is above"
    lines = (member.path / _LOG).read_text(errors="replace").strip().splitlines()
    return f"exit status {code}: {lines[-1] if lines else 'no output'}"
