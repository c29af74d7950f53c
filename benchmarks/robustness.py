"""An agent under attack and noise, beside a classifier of the same kind that sees the whole image.

    python benchmarks/robustness.py RUN_DIR [--images 1000] [--epsilon 1 2 4 8] [--steps 20]
        [--attacks fgsm pgd] [--gazes 1] [--only attacks noise blur] [--out FILE.json]

The full-image classifier is trained first on the same data with the same augmentation (kept in the
data directory for the next time). Then some images of the test split, drawn by seed, are shown to
both: as they are, after each corruption (both see the same pictures), and after each white-box
attack, made for each of the two with the gradients of its own classifier. An attack follows the
gaze that the agent takes on the picture so far, but not how that gaze depends on the picture, so an
agent's accuracy under attack is an upper bound: one that knew more could do it more harm. See
``glimpse_lab.robustness.attacks``. Attacks need ``pip install -e ".[attacks]"``, and an agent with
a classifier.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from tqdm import tqdm

from glimpse_envs.metrics.episodes import metrics
from glimpse_lab.evaluation.full_image import N_IMAGES, full_image_classifier
from glimpse_lab.evaluation.result import Disturbance, DisturbedMetrics, Robustness
from glimpse_lab.evaluation.storage import write_result
from glimpse_lab.recipes import trust
from glimpse_lab.robustness.attacks import ATTACKS, Attack, Viewer, attack
from glimpse_lab.robustness.corruptions import CORRUPTIONS, corrupt
from glimpse_lab.robustness.pictures import compose
from glimpse_lab.runs import Run
from glimpse_lab.versions import git_commit, versions
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.model import TorchClassifier

#: from pictures and who looks at them to what he is shown
_Change = Callable[[NDArray[np.uint8], Viewer, Callable[[int], Any]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Condition:
    """One row of the table.

    :param kind: "clean", an attack or a corruption
    :param strength: in its unit
    :param change: what is done to the pictures
    :param settings: what else the results depend on
    """

    kind: str
    strength: float
    unit: str
    change: _Change
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What is done, and how strongly, in words."""
        if self.kind == "clean":
            return "clean"
        gap = "" if self.unit.startswith("/") else " "
        return f"{self.kind} {self.strength:g}{gap}{self.unit}"


class Study:
    """The agent, the classifier of whole images, and what both are shown."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.run = Run.open(args.run, args.packages)
        config = self.run.env_config(split="test")
        attackable = isinstance(config.classifier, TorchClassifier)
        if args.attacks and not attackable:
            raise ValueError(
                f"{args.run} has no TorchClassifier, and attacks are not defined without one; "
                "leave out --attacks for the corruptions alone"
            )
        self.attacks = ATTACKS if args.attacks is None else tuple(args.attacks)
        if not attackable:
            self.attacks = ()
            print("the agent has no TorchClassifier: no attacks, corruptions alone")
        model, _ = self.run.load()
        self.training = {"n_images": args.train_images, "seed": args.seed, **self._own_training()}
        _, glance = full_image_classifier(config, **self.training)
        self.agent, self.full_image = Viewer(config, model), Viewer(glance)
        order = np.random.default_rng(args.seed).permutation(len(config.shown_split))
        self.index = np.sort(order[: args.images])
        self.pictures = compose(config, self.index)

    def _own_training(self) -> dict[str, Any]:
        """Return how the run trained its classifier, where it did."""
        for callback in self.run.config.make_callbacks():
            if isinstance(callback, CoTrainingCallback):
                return {"batch_size": callback.batch_size, **callback.fit}
        return {}

    def conditions(self, args: argparse.Namespace) -> Iterator[Condition]:
        """Yield the rows of the table."""
        yield Condition("clean", 0.0, "", lambda pictures, viewer, progress: pictures)
        for kind in self.attacks if "attacks" in args.only else ():
            for epsilon in args.epsilon:
                settings = Attack(kind, epsilon, args.steps, args.step, args.gazes, args.seed)
                told = {**asdict(settings), "step": settings.step_size}
                yield Condition(kind, epsilon, "/255", _attacker(self.index, settings), told)
        for kind, corruption in CORRUPTIONS.items():
            for severity in corruption.severities if kind in args.only else ():
                yield Condition(kind, severity, corruption.unit, _corrupter(kind, severity, args))

    def result(self, condition: Condition) -> Disturbance:
        """Return the metrics of both."""
        interval = 0.5 if sys.stderr.isatty() else 10.0
        with tqdm(
            total=2 * len(self.index),
            desc=condition.name,
            unit=" images",
            leave=False,
            mininterval=interval,
        ) as bar:
            return Disturbance(
                name=condition.name,
                kind=condition.kind,
                strength=condition.strength,
                unit=condition.unit,
                settings=condition.settings,
                agent=self._shown(condition, self.agent, bar),
                full_image=self._shown(condition, self.full_image, bar),
            )

    def _shown(self, condition: Condition, viewer: Viewer, bar: tqdm) -> DisturbedMetrics:
        pictures = condition.change(self.pictures, viewer, bar.update)
        distance = np.abs(pictures.astype(int) - self.pictures).max()
        found = metrics(viewer.view(pictures, self.index))
        return DisturbedMetrics(**vars(found), largest_change=int(distance))


def _attacker(index: NDArray[np.int64], settings: Attack) -> _Change:
    return lambda pictures, viewer, progress: attack(
        viewer, pictures, index, settings, progress=progress
    )


def _corrupter(kind: str, severity: float, args: argparse.Namespace) -> _Change:
    return lambda pictures, viewer, progress: corrupt(pictures, kind, severity, seed=args.seed)


def line(row: Disturbance) -> str:
    """Return a line of the table."""
    cells = [row.name]
    for found in (row.agent, row.full_image):
        low, high = (100 * bound for bound in found.accuracy_ci95)
        cells.append(f"{100 * found.accuracy:.1f} ({low:.1f} to {high:.1f})")
    cells.append(f"{row.agent.mean_glimpses:.2f}")
    return f"| {' | '.join(cells)} |"


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("--images", type=int, default=1000, help="of the test split, drawn")
    parser.add_argument(
        "--attacks", nargs="*", choices=ATTACKS, help="default: all that are defined"
    )
    parser.add_argument(
        "--epsilon", type=int, nargs="+", default=[1, 2, 4, 8], help="of attacks, in 1/255"
    )
    parser.add_argument("--steps", type=int, default=20, help="of pgd")
    parser.add_argument("--step", type=float, help="of pgd, in 1/255; default: 2.5 epsilon / steps")
    parser.add_argument(
        "--gazes", type=int, default=1, help="stochastic gazes averaged in each step; 1: none"
    )
    names = ["attacks", *CORRUPTIONS]
    parser.add_argument("--only", nargs="+", default=names, choices=names)
    parser.add_argument(
        "--train-images",
        type=int,
        default=N_IMAGES,
        help=f"episodes of the full-image classifier's training; default: {N_IMAGES}",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: robustness.json in the run directory")
    parser.add_argument(
        "--packages", nargs="+", default=[], metavar="NAME", help="of your own that the run names"
    )
    args = parser.parse_args()
    for name in ("images", "steps", "gazes", "train_images"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return args


def main() -> None:
    args = parse()
    th.set_num_threads(1)
    trust(args.packages)
    study = Study(args)
    out = args.out or args.run / "robustness.json"
    found = Robustness(
        env=study.run.config.env_id,
        dataset=study.run.config.dataset.name,
        split="test",
        budget=study.run.env_config(split="test").budget,
        timesteps=study.run.saved_timesteps(),
        git=git_commit(),
        n_images=len(study.index),
        full_image_training=study.training,
        seed=args.seed,
        versions=versions(),
        results=(),
    )
    for condition in study.conditions(args):
        result = study.result(condition)
        tqdm.write(line(result), file=sys.stderr)
        found = replace(found, results=(*found.results, result))
        write_result(out, found)  # after each: it takes minutes
    print(f"{found.env}, {found.n_images} test images; accuracy in % (95 % interval)")
    if study.attacks and "attacks" in args.only:
        step = "2.5 epsilon / steps" if args.step is None else f"{args.step:g}/255"
        gaze = "deterministic gaze" if args.gazes == 1 else f"mean of {args.gazes} drawn gazes"
        print(f"attacks: L-infinity, pgd of {args.steps} steps of {step}, random start; {gaze}")
    print(f"full-image classifier: {study.training}\n")
    print("| shown | agent | full image | agent's glimpses |\n|---|---|---|---|")
    print("\n".join(line(result) for result in found.results))
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("stopped; what was measured is kept, and a classifier in training goes on from here")
        sys.exit(130)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
