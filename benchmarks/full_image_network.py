"""An agent beside a convolutional network of as many parameters that is shown every image whole.

    python benchmarks/full_image_network.py RUN_DIR [--episodes N] [--out FILE.json]
    python benchmarks/full_image_network.py RUN_DIR --resolutions 64 128 256 --width 32

The comparison of Mnih et al., "Recurrent models of visual attention", NIPS 2014, table 2: which of
two of a size makes fewer errors, and how much each reckons for an answer. The network is the canvas
classifier's (residual convolutions), of the width with which it has as many parameters as the run's
policy and classifier together, or of one's choice. It is trained as the run trained its classifier,
with the same optimizer, batches and augmentation, on as many episodes of the train split; both are
shown each test image once. Of large images it can be shown smaller copies, of several resolutions
in turn.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch as th
from torch import nn

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.files import replacing
from glimpse_envs.metrics.episodes import Metrics, metrics
from glimpse_envs.strategies import Centre
from glimpse_lab.evaluation.compute import measure_compute, measure_full_image
from glimpse_lab.evaluation.full_image import full_image_classifier, full_image_config
from glimpse_lab.evaluation.rollout import evaluate, evaluate_gaze
from glimpse_lab.plots.training import read_progress
from glimpse_lab.recipes import trust
from glimpse_lab.runs import Run
from policies.classifier.cotraining import CoTrainingCallback

_WIDEST = 256


def size(*networks: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for network in networks for p in network.parameters())


def width_of(config: GlimpseConfig, n_parameters: int, resolution: int | None) -> int:
    """Return the width of a canvas whose number of parameters is nearest.

    It rises with the width.
    """

    def size_of(width: int) -> int:
        return size(full_image_config(config, width=width, resolution=resolution).classifier)

    low, high = 1, _WIDEST
    while high - low > 1:
        middle = (low + high) // 2
        if size_of(middle) < n_parameters:
            low = middle
        else:
            high = middle
    sizes = {width: size_of(width) for width in (low, high)}
    return min(sizes, key=lambda width: abs(sizes[width] - n_parameters))


def training_of(run: Run) -> tuple[int, dict[str, Any]]:
    """Return how many episodes a run trained its classifier on, and how.

    :raises ValueError: for a run that did not train one
    """
    found = [c for c in run.config.make_callbacks() if isinstance(c, CoTrainingCallback)]
    if not found:
        raise ValueError(f"{run.path} trained no classifier; wanted a run that did")
    training = found[0]
    updates = read_progress(run.path / "progress.csv").get("classifier/updates", np.zeros(0))
    beside = 0 if training.frozen else int(np.nansum(updates)) * training.batch_size
    settings = training.pretraining.settings if training.frozen else training.fit
    return training.pretraining.n_episodes + beside, {
        "batch_size": training.batch_size,
        **settings,
    }


class Row(NamedTuple):
    """One line of the table."""

    found: Metrics
    parameters: int
    multiply_adds: float
    width: int | None = None

    def text(self, name: str) -> str:
        """Return it in Markdown."""
        low, high = (100 * (1 - bound) for bound in reversed(self.found.accuracy_ci95))
        return (
            f"| {name} | {100 * (1 - self.found.accuracy):.2f} ({low:.2f} to {high:.2f}) | "
            f"{self.found.mean_samples:.0f} | {self.parameters:,} | "
            f"{self.multiply_adds / 1e6:.1f} |"
        )

    def content(self) -> dict[str, Any]:
        """Return it in plain types."""
        return {
            "accuracy": self.found.accuracy,
            "accuracy_ci95": list(self.found.accuracy_ci95),
            "mean_samples": self.found.mean_samples,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "width": self.width,
        }


def main() -> None:
    """Train the networks, evaluate all, print a table and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument(
        "--episodes", type=int, help="of the networks' training; default: as many as the run's"
    )
    parser.add_argument(
        "--resolutions",
        type=int,
        nargs="+",
        default=[None],
        metavar="PIXELS",
        help="a side, one network for each; default: the image's own",
    )
    parser.add_argument(
        "--width", type=int, help="of the networks; default: that of as many parameters"
    )
    parser.add_argument(
        "--out", type=Path, help="default: full_image_network.json in the run directory"
    )
    parser.add_argument("--packages", nargs="+", default=[], metavar="NAME", help="of your own")
    args = parser.parse_args()
    th.set_num_threads(1)
    trust(args.packages)
    run = Run.open(args.run, args.packages)
    episodes, fit = training_of(run)
    episodes = args.episodes or episodes
    config = run.env_config(split="test")
    for resolution in args.resolutions:
        full_image_config(config, width=1, resolution=resolution)  # refused before hours of work
    model, _ = run.load()
    n_parameters = size(model.policy, config.classifier)
    compute = measure_compute(model, config)
    assert compute.classifier is not None
    both = compute.policy.multiply_adds + compute.classifier.multiply_adds
    rows = {"agent": Row(metrics(evaluate(model, config)), n_parameters, both)}
    seen = replace(config, augment=run.env_config(split="train").augment)
    for resolution in dict.fromkeys(args.resolutions):
        width = args.width or width_of(config, n_parameters, resolution)
        print(f"{episodes:,} episodes for a canvas of width {width}", flush=True)
        network, glance = full_image_classifier(
            seen,
            n_images=episodes,
            seed=run.config.seed,
            width=width,
            resolution=resolution,
            **fit,
        )
        name = "whole image" + (f" at {resolution} x {resolution}" if resolution else "")
        rows[name] = Row(
            metrics(evaluate_gaze(Centre(), glance)),
            size(network),
            measure_full_image(config, width=width, resolution=resolution).multiply_adds,
            width,
        )
    print("| | test error, % (95 % interval) | samples | parameters | million multiply-adds |")
    print("|---|---|---|---|---|")
    for name, row in rows.items():
        print(row.text(name))
    content = {name.replace(" ", "_"): row.content() for name, row in rows.items()}
    out = args.out or args.run / "full_image_network.json"
    with replacing(out) as temporary:
        temporary.write_text(json.dumps({"episodes": episodes, **content}, indent=2))
    print(f"written to {out}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
