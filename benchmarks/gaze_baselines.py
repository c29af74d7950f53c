"""A learned gaze against scripted gazes, each beside an equally trained classifier.

    python benchmarks/gaze_baselines.py RUN_DIR [--only random centre] [--out FILE.json]

Takes a run of train.py whose classifier was co-trained. Every baseline begins with the classifier
as the run's pretraining left it (kept in the data directory), and trains it for as many updates of
the same size as the run did beside its agent, with the same falling learning rate (after a short
rise), on episodes along the baseline's gaze. "best-fixed" is found on the validation split by
``glimpse_lab.evaluation.baselines``. All are then shown each test image once; a baseline always
takes all glimpses of the budget, and its accuracy after fewer is what the same classifier says on
the way (an agent that answers when it chooses has no such figure). "best-fixed" is searched with a
classifier that was trained as long on random gaze, which has seen windows everywhere.

Where the run froze its classifier after the pretraining, a baseline's is trained from nothing: by
as many episodes along the baseline's gaze, and kept like the run's. A network that suits the gaze
better than the run's is given by --classifier: one that reads round the last glimpse (``frame``)
does not suit a scan.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch as th

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.data.directory import data_directory
from glimpse_envs.metrics.episodes import Metrics, metrics
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.strategies import Fixed, ScriptedGaze
from glimpse_lab.evaluation.baselines import baseline_strategies, best_fixed
from glimpse_lab.evaluation.matched_budget import matched_budget
from glimpse_lab.evaluation.result import Baseline, BaselineKind, TrainedBaselines
from glimpse_lab.evaluation.rollout import evaluate, evaluate_gaze
from glimpse_lab.evaluation.storage import write_result
from glimpse_lab.plots.training import read_progress
from glimpse_lab.recipes import parse_value, trust
from glimpse_lab.runs import Run
from glimpse_lab.versions import git_commit
from policies.classifier.cache import ClassifierCache
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.model import TorchClassifier, read_file
from policies.classifier.pretraining import Pretraining
from policies.classifier.trainer import Fitter, pretrain


class Study:
    """The run, its pretraining, and how much it trained its classifier."""

    def __init__(
        self,
        path: Path,
        pretraining: Path | None,
        packages: list[str],
        classifier: dict[str, Any] | None = None,
    ) -> None:
        self.run = Run.open(path, packages)
        self.config = self.run.env_config(split="train")
        callbacks = self.run.config.make_callbacks()
        found = [c for c in callbacks if isinstance(c, CoTrainingCallback)]
        if not found:
            raise ValueError(f"{path} has no co-trained classifier; wanted a run that has one")
        self.training = found[0]
        self._trained: dict[ScriptedGaze, GlimpseConfig] = {}
        self.n_updates = 0
        if self.training.frozen:
            if pretraining is not None:
                raise ValueError(
                    f"got --pretraining, and {path} froze its classifier after the pretraining, so "
                    "that those of its baselines are trained from nothing; leave it out"
                )
            own = self.run.config.env_kwargs["classifier"]
            from_file = isinstance(own, dict) and own.get("type") == "file"
            if not self.training.pretraining.n_episodes or (from_file and classifier is None):
                raise ValueError(
                    f"{path} took its classifier from a file; wanted a run that trained it, by "
                    "which it is known how long those of baselines are trained"
                )
            self.other = {} if classifier is None else {"classifier": classifier}
            return
        if classifier is not None:
            raise ValueError(
                f"got --classifier, and {path} trained its own beside its agent, from which its "
                "baselines begin; leave it out"
            )
        if pretraining is None:  # it is kept under what tells it from others
            cache = ClassifierCache(data_directory() / "classifiers")
            untrained = self.run.config.make_env_config()
            pretraining = cache.file(self.training.pretraining.key(untrained, self.run.config.seed))
        if not pretraining.is_file():
            raise ValueError(
                f"there is no {pretraining}, the classifier of {path} after its pretraining; give "
                "it by --pretraining FILE, or train the run again with this GLIMPSE_DATA_DIR"
            )
        self.pretraining = pretraining
        updates = read_progress(path / "progress.csv").get("classifier/updates", np.zeros(0))
        self.n_updates = int(np.nansum(updates))
        if not self.n_updates:
            raise ValueError(f"the classifier of {path} was not trained beside its agent")

    def fresh(self) -> tuple[TorchClassifier, Fitter]:
        """Return the classifier after its pretraining, and what trains it on."""
        classifier = TorchClassifier.load(self.pretraining)
        fitter = Fitter(classifier, **self.training.fit)
        fitter.optimizer.load_state_dict(read_file(self.pretraining)["extras"]["optimizer"])
        return classifier, fitter

    def trained(self, strategy: ScriptedGaze) -> GlimpseConfig:
        """Return the environment with a classifier that was trained for a gaze, once for each."""
        if strategy not in self._trained:
            self._trained[strategy] = self._train(strategy)
        return self._trained[strategy]

    def _train(self, strategy: ScriptedGaze) -> GlimpseConfig:
        return self._from_nothing(strategy) if self.training.frozen else self._on(strategy)

    def _from_nothing(self, strategy: ScriptedGaze) -> GlimpseConfig:
        own = self.training.pretraining
        made = self.run.config.make_env_config(**self.other)
        config = replace(made, split="train", reward="Terminal")
        pretraining = Pretraining(
            own.n_episodes, strategy, own.batch_size, own.handover, settings=own.settings
        )
        pretraining.run(
            Fitter(config.classifier, **own.settings),
            config,
            self.run.config.seed,
            cache=ClassifierCache(data_directory() / "classifiers"),
            checkpoint=lambda: None,
        )
        return config

    def _on(self, strategy: ScriptedGaze) -> GlimpseConfig:
        classifier, fitter = self.fresh()
        config = replace(self.config, classifier=classifier, reward="Terminal")
        n = self.n_updates * self.training.batch_size
        scales = (self.training.handover, 0.0)
        size = self.training.batch_size
        for _ in pretrain(fitter, config, strategy, n, batch_size=size, scales=scales, seed=1):
            pass
        return config

    def baseline(self, strategy: ScriptedGaze, agent: Scanpaths) -> Baseline:
        """Train a classifier for a gaze and return the metrics of the test split."""
        test = replace(self.trained(strategy), split="test")
        paths = evaluate_gaze(strategy, test, seed=1)
        return Baseline(
            **vars(metrics(paths)),
            kind=BaselineKind.EQUALLY_TRAINED,
            gazes=strategy.gazes if isinstance(strategy, Fixed) else None,
            matched_budget=matched_budget(agent, paths),
        )

    def best_fixed(self, spacing: float) -> ScriptedGaze:
        """Return the best fixed sequence, as a classifier for random gaze sees it.

        :param spacing: of the gazes to choose from, windows
        """
        judge = self.trained(baseline_strategies()["random"])
        return best_fixed(judge, judge.classifier, spacing=spacing, progress=True)

    def learned(self) -> Scanpaths:
        """Return the episodes of the run's agent on the test split."""
        model, _ = self.run.load()
        return evaluate(model, self.run.env_config(split="test"))


def row(name: str, result: Metrics) -> str:
    """Return a line of the table."""
    low, high = (100 * bound for bound in result.accuracy_ci95)
    steps = "-"
    if isinstance(result, Baseline):
        steps = " ".join(f"{100 * accuracy:.1f}" for accuracy in result.accuracy_by_glimpse)
    return (
        f"| {name} | {100 * result.accuracy:.2f} ({low:.2f} to {high:.2f}) | "
        f"{result.mean_glimpses:.2f} | {steps} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    names = [*baseline_strategies(), "best-fixed"]
    parser.add_argument("--only", nargs="+", default=names, choices=names)
    parser.add_argument(
        "--pretraining",
        type=Path,
        metavar="FILE",
        help="classifier to begin with; default: the run's",
    )
    parser.add_argument(
        "--classifier",
        type=parse_value,
        metavar="YAML",
        help="network of the baselines of a run whose own is frozen: '{type: canvas, width: 32}'",
    )
    parser.add_argument(
        "--spacing",
        type=float,
        default=0.5,
        metavar="WINDOWS",
        help="between the gazes of which best-fixed is made, of a retina windows of its finest "
        "scale (default: 0.5); on large canvases there are too many so close",
    )
    parser.add_argument("--out", type=Path, help="default: baselines.json in the run directory")
    parser.add_argument(
        "--packages", nargs="+", default=[], metavar="NAME", help="of your own that the run names"
    )
    args = parser.parse_args()
    th.set_num_threads(1)
    trust(args.packages)
    study = Study(args.run, args.pretraining, args.packages, args.classifier)
    print(
        f"{study.training.pretraining.n_episodes} episodes of pretraining, then {study.n_updates} "
        f"updates of {study.training.batch_size}"
    )
    agent = study.learned()
    found = TrainedBaselines(
        env=study.run.config.env_id,
        dataset=study.config.dataset.name,
        split="test",
        budget=study.config.budget,
        timesteps=study.run.saved_timesteps(),
        git=git_commit(),
        updates=study.n_updates,
        learned=metrics(agent),
        baselines={},
    )
    out = args.out or args.run / "baselines.json"
    for name in args.only:
        if name == "best-fixed":
            strategy = study.best_fixed(args.spacing)
        else:
            strategy = baseline_strategies()[name]
        baseline = study.baseline(strategy, agent)
        print(row(name, baseline), flush=True)
        found = replace(found, baselines={**found.baselines, name: baseline})
        write_result(out, found)  # after each: it takes minutes
    print("\n| gaze | test accuracy, % (95 % interval) | glimpses | after 1, 2, ... glimpses, % |")
    print("|---|---|---|---|")
    print(row("learned", found.learned))
    print("\n".join(row(name, baseline) for name, baseline in found.baselines.items()))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
