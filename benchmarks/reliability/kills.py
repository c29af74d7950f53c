"""What a kill costs: trainings killed at random moments and resumed, beside unbroken ones.

    python benchmarks/reliability/kills.py [--seeds 0 1 2] [--kills 20] [--out reliability_kills]

The embedded task, its recipe shortened, is trained unbroken, and with the same seeds killed again
and again and resumed by ``train.py --resume RUN_DIR``. Each training has a data directory of its
own, so that none finds a pretraining of another. Kills come at random moments of the start (the
imports, up to the first progress bar; also of processes that resume), the pretraining, the training
and the evaluation at the end: three of five by SIGKILL, the others by SIGTERM, which ``train.py``
does not catch either, and by SIGINT (Ctrl-C), upon which it saves.

What a kill loses is work that has to be done again:

- ``lost_seconds``: wall time of the killed process, up to the kill, since it wrote the state from
  which the resumed one goes on (``model.zip``; its time of change), or since its first bar where it
  wrote none. In the evaluation that is all of the evaluation. The writing itself, some tenths of a
  second, is not in it. A process that saves upon the kill loses nothing, but for the rollout that
  it is in: its steps count, and are not learnt from. Nor does one lose work that was starting.
- ``lost``: the progress that the bars of the killed process showed (in the last half second) less
  the one on the first bar of the process that goes on: episodes, timesteps or images; of timesteps
  three digits are shown. That this is what ``model.zip`` holds is checked.
- ``starting_seconds``: from the start of the killed process to its first bar, or to the kill;
  ``restart_seconds``: the same of the process that goes on. It is no loss of what was learnt, but
  comes on top for whoever waits.

A resumed run should be as good as an unbroken one, not the same: it draws other images and actions.
Its test accuracy has to lie in the interval in which that of a further unbroken seed lies with 95 %
(Student's t for one new value: wider than the interval of the mean, which is printed, too). And its
directory has to look as if nobody had stopped it: see ``intact.py``.

Exit status 1 if a kill loses more than 20 s, a resume fails, a run is damaged, or an accuracy lies
outside. Ctrl-C ends the running training; the rows so far are kept in ``kills.csv``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from intact import flaws
from schedule import Kill, draw
from summary import LIMIT, phase_table, run_table, verdict, write_csv
from tqdm import tqdm
from watching import PHASES, Progress, Watched

from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.storage import read_result
from glimpse_lab.runs import Run
from policies import CoTrainingCallback

ENV_ID = "GlimpseDigits-MultiCat-v0"
TIMESTEPS, PRETRAINING = 100_000, 20_000
_HANGING = 900.0  # seconds after which a training counts as stuck


class FailedError(RuntimeError):
    """A training that did not go on as it should; the message says how."""


@dataclass
class Training:
    """One training, perhaps of many processes.

    :param folder: of run, data directory and log; made here
    :param seed: of the training
    :param settings: of the command line, beside seed and folders
    :param bar: of kills and trainings
    :param note: called after each kill
    :ivar rows: one for each kill so far
    :ivar seconds: of the phases of the last process that ran to its end
    """

    folder: Path
    seed: int
    settings: list[object]
    bar: tqdm
    note: Callable[[], None]
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    process: Watched | None = None

    def __post_init__(self) -> None:
        (self.folder / "data").mkdir(parents=True)

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.folder / ENV_ID / "run"

    def carry_out(self, kills: list[Kill], seconds: dict[str, float]) -> Evaluation:
        """Train to the end with these kills on the way.

        :param kills: in their order
        :param seconds: that an unbroken training spends in each phase
        :return: the evaluation at the end
        :raises FailedError: if it does not come to its end
        """
        try:
            for number, kill in enumerate(kills, 1):
                self._kill(kill, number, seconds)
                self.note()
                self.bar.update()
            self._start()
            status = self.process.wait(_HANGING)
            if status:
                raise FailedError(f"exit status {status}, see {self.folder / 'output.log'}")
            self._resumed()
            self.seconds = _phases(self.process, time.time())
            self.bar.update()
            return read_result(self.path / "metrics.json", Evaluation)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            raise FailedError(str(error)) from error
        finally:
            if self.process is not None:
                self.process.end()

    def _start(self) -> None:
        """Begin, or go on as far as something is there to go on with."""
        if (self.path / "config.yml").exists():
            arguments = ["--resume", self.path]
        else:
            arguments = ["--env", ENV_ID, "--seed", self.seed, "--runs", self.folder]
            arguments += ["--name", "run", *self.settings]
        environment = {"GLIMPSE_DATA_DIR": str(self.folder / "data"), "OMP_NUM_THREADS": "1"}
        self.process = Watched(arguments, self.folder / "output.log", environment)

    def _kill(self, kill: Kill, number: int, seconds: dict[str, float]) -> None:
        """Start a process, kill it at its time, and note what there is to see."""
        self._start()
        self.bar.set_postfix_str(f"{self.folder.name}: {kill.number.name} in the {kill.phase}")
        while not kill.wait(self.process, seconds):
            if status := self.process.wait(_HANGING):
                raise FailedError(f"exit status {status}, see {self.folder / 'output.log'}")
            if kill.phase != "evaluation":
                raise FailedError(f"it ended before its {kill.phase} was seen")
            self._resumed()
            self._start()  # it evaluated faster than the unbroken ones: once more
        when = self.process.send(kill.number)
        at = self.process.progress
        status = self.process.wait(_HANGING)
        self._resumed()  # what this process went on from, if it came so far
        self.rows.append(
            {
                "seed": self.seed,
                "kill": number,
                "signal": kill.number.name,
                "phase": at.name,
                "lost_seconds": round(when - self._worked_since(when), 2),
                "starting_seconds": round(self._at_work(when) - self.process.began, 2),
                "at": at,
                "saved": self._saved(),
                "resumed_at": None,
                "restart_seconds": None,
                "exit_status": status,
            }
        )

    def _at_work(self, when: float) -> float:
        """Return when the last process drew its first bar; ``when`` if it was not so far."""
        first = self.process.first
        return when if first is None else min(when, first[0])

    def _worked_since(self, when: float) -> float:
        """Return since when the last process has done work that is lost with it at ``when``."""
        file = self.path / "model.zip"
        written = file.stat().st_mtime if file.exists() else 0.0
        return min(when, max(written, self._at_work(when)))

    def _saved(self) -> Progress:
        """Return the progress that is saved."""
        run = Run.open(self.path) if (self.path / "config.yml").exists() else None
        if run is None or not run.model_file.exists():
            return Progress(PHASES.index("pretraining"), 0.0)
        pretrained, wanted = run.classifier_extras()["pretrained"], _pretraining(run)
        if pretrained < wanted:
            return Progress(PHASES.index("pretraining"), float(pretrained))
        done = run.saved_timesteps()
        if done < run.config.n_timesteps:
            return Progress(PHASES.index("training"), float(done))
        return Progress(PHASES.index("evaluation"), 0.0)

    def _resumed(self) -> None:
        """Note, for kills of before, what the last process went on from, if it came so far."""
        if self.process.first is None:
            return
        when, progress = self.process.first
        for row in self.rows:
            if row["resumed_at"] is None:
                row["resumed_at"] = progress
                row["restart_seconds"] = round(when - self.process.began, 2)


def _pretraining(run: Run) -> int:
    """Return how many episodes the pretraining of a run has."""
    callbacks = run.config.make_callbacks()
    found = next(each for each in callbacks if isinstance(each, CoTrainingCallback))
    return found.pretraining.n_episodes


def _phases(process: Watched, ended: float) -> dict[str, float]:
    """Return how many seconds each phase of a process took."""
    begins = [process.entered(phase) for phase in PHASES]
    ends = [*begins[1:], ended]
    return {
        phase: end - begin
        for phase, begin, end in zip(PHASES, begins, ends, strict=True)
        if begin is not None and end is not None
    }


def measure(args: argparse.Namespace) -> list[str]:
    """Train all, write the tables and print them.

    :return: what is wrong, in words
    """
    settings = ["--total-timesteps", args.timesteps]
    settings += ["--set", f"callback.CoTrainingCallback.pretraining={args.pretraining}"]
    settings += [f"callback.Imitation.episodes={args.pretraining}", *args.set]
    plans = draw(args.kills, len(args.seeds), args.draws)
    tables: list[list[dict[str, Any]]] = []  # the kills of each training
    runs: list[dict[str, Any]] = []
    wrong: list[str] = []
    seconds: list[dict[str, float]] = []
    jobs = [("unbroken", seed, []) for seed in args.seeds]
    jobs += [("killed", seed, plan) for seed, plan in zip(args.seeds, plans, strict=True)]

    def note() -> None:
        write_csv(args.out / "kills.csv", list(chain(*tables)))

    with tqdm(total=args.kills + len(jobs), unit=" lives", dynamic_ncols=True) as bar:
        for kind, seed, kills in jobs:
            rows: list[dict[str, Any]] = []
            tables.append(rows)
            note()
            training = Training(args.out / f"{kind}{seed}", seed, settings, bar, note, rows)
            bar.set_postfix_str(training.folder.name)
            began = time.time()
            row = {"kind": kind, "seed": seed, "accuracy": None}
            try:
                result = training.carry_out(kills, _means(seconds))
                row.update(accuracy=result.accuracy, n_images=result.n_images)
                found = flaws(training.path, training.folder / "data")
                wrong += [f"{training.folder.name}: {flaw}" for flaw in found]
            except FailedError as error:
                wrong.append(f"{training.folder.name}: {error}")
            note()  # what went on after the last kill
            runs.append({**row, "seconds": round(time.time() - began, 1)})
            write_csv(args.out / "runs.csv", runs)
            if kind == "unbroken" and training.seconds:
                seconds.append(training.seconds)
            if kind == "unbroken" and not training.seconds:
                return wrong  # without it nothing tells what to expect of the others
    rows = list(chain(*tables))
    print(phase_table(rows))
    print(run_table(runs))
    phases = ", ".join(f"{name} {taken:.0f} s" for name, taken in _means(seconds).items())
    print(f"\nunbroken, on average: {phases}")
    return wrong + verdict(rows, runs)


def _means(seconds: list[dict[str, float]]) -> dict[str, float]:
    return {phase: sum(s[phase] for s in seconds) / len(seconds) for phase in PHASES if seconds}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kills", type=int, default=20, help="in all; default: %(default)s")
    parser.add_argument("--draws", type=int, default=0, help="seed of the moments of the kills")
    parser.add_argument("--timesteps", type=int, default=TIMESTEPS, help="default: %(default)s")
    parser.add_argument("--pretraining", type=int, default=PRETRAINING, help="default: %(default)s")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="further settings of train.py"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("reliability_kills"), help="default: %(default)s"
    )
    args = parser.parse_args()
    if args.out.exists() and any(args.out.iterdir()):
        parser.error(f"{args.out} is not empty; choose another folder with --out")
    if len(args.seeds) < 2:
        parser.error("got one seed; wanted two or more: they tell what to expect of another")
    return args


def main() -> None:
    args = parse_arguments()
    args.out = args.out.resolve()
    try:
        wrong = measure(args)
    except KeyboardInterrupt:
        print(f"\nstopped; the rows so far are in {args.out / 'kills.csv'}", file=sys.stderr)
        sys.exit(130)
    if wrong:
        print("\n".join(["", *wrong]), file=sys.stderr)
        sys.exit(1)
    print(f"no kill lost more than {LIMIT:.0f} s, every resume went on, every run is whole")


if __name__ == "__main__":
    main()
