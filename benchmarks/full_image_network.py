"""An agent beside a convolutional network of as many parameters that is shown every image whole.

    python benchmarks/full_image_network.py RUN_DIR [--episodes N] [--out FILE.json]

The comparison of Mnih et al., "Recurrent models of visual attention", NIPS 2014, table 2: which of
two of a size makes fewer errors, and how much each reckons for an answer. The network is the canvas
classifier's (residual convolutions), of the width with which it has as many parameters as the run's
policy and classifier together. It is trained as the run trained its classifier, with the same
optimizer, batches and augmentation, on as many episodes of the train split; both are shown each
test image once.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from torch import nn

from glimpse_envs.files import replacing
from glimpse_envs.metrics.episodes import metrics
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


def width_of(config: Any, n_parameters: int) -> int:
    """Return the width of a canvas whose number of parameters is nearest.

    It rises with the width.
    """
    low, high = 1, _WIDEST
    while high - low > 1:
        middle = (low + high) // 2
        if size(full_image_config(config, width=middle).classifier) < n_parameters:
            low = middle
        else:
            high = middle
    sizes = {w: size(full_image_config(config, width=w).classifier) for w in (low, high)}
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


def main() -> None:
    """Train the network, evaluate both, print a table and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument(
        "--episodes", type=int, help="of the network's training; default: as many as the run's"
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
    model, _ = run.load()
    n_parameters = size(model.policy, config.classifier)
    width = width_of(config, n_parameters)
    print(f"{episodes:,} episodes for a canvas of width {width}", flush=True)
    augment = run.env_config(split="train").augment
    network, glance = full_image_classifier(
        replace(config, augment=augment),
        n_images=episodes,
        seed=run.config.seed,
        width=width,
        **fit,
    )
    compute = measure_compute(model, config)
    assert compute.classifier is not None
    whole = measure_full_image(config, width=width)
    agent = metrics(evaluate(model, config))
    seen = metrics(evaluate_gaze(Centre(), glance))
    rows = {
        "agent": (
            agent,
            n_parameters,
            compute.policy.multiply_adds + compute.classifier.multiply_adds,
        ),
        "whole image": (seen, size(network), whole.multiply_adds),
    }
    print("| | test error, % (95 % interval) | samples | parameters | million multiply-adds |")
    print("|---|---|---|---|---|")
    for name, (found, parameters, multiply_adds) in rows.items():
        low, high = (100 * (1 - bound) for bound in reversed(found.accuracy_ci95))
        print(
            f"| {name} | {100 * (1 - found.accuracy):.2f} ({low:.2f} to {high:.2f}) | "
            f"{found.mean_samples:.0f} | {parameters:,} | {multiply_adds / 1e6:.1f} |"
        )
    content = {
        name.replace(" ", "_"): {
            "accuracy": found.accuracy,
            "accuracy_ci95": list(found.accuracy_ci95),
            "mean_samples": found.mean_samples,
            "parameters": parameters,
            "multiply_adds": multiply_adds,
        }
        for name, (found, parameters, multiply_adds) in rows.items()
    }
    out = args.out or args.run / "full_image_network.json"
    with replacing(out) as temporary:
        temporary.write_text(
            json.dumps({"episodes": episodes, "width": width, **content}, indent=2)
        )
    print(f"written to {out}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
