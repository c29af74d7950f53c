"""Milliseconds of what an evaluation computes of 10,000 scanpaths, and of one drawn frame.

    python benchmarks/statistics_speed.py [--images 10000] [--seconds 2]

Scanpaths of eight glimpses along a random gaze over random images, with the beliefs of an untrained
classifier. Medians of interleaved repeats.
"""

from __future__ import annotations

import argparse

import numpy as np
from timing import Subject, interleaved, table

from glimpse_envs.config import make_config
from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.metrics import belief as statistics
from glimpse_envs.metrics import gaze_statistics
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.render import frames as rendering
from glimpse_envs.render.episode import Episode
from glimpse_envs.strategies import Walk
from glimpse_lab.evaluation.rollout import evaluate_gaze

SIDE, CLASSES, BUDGET = 32, 10, 8


def random_scanpaths(n: int) -> Scanpaths:
    """Return episodes over n random images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, SIDE, SIDE, 1), dtype=np.uint8)
    labels = np.arange(n) % CLASSES
    dataset = ImageDataset.from_arrays(images, labels, images, labels, name="noise")
    config = make_config(
        dataset=dataset,
        sensor={"type": "Crop", "size": 8},
        budget=BUDGET,
        split="test",
        classifier={"type": "feedforward", "encoder": "mlp"},
    )
    return evaluate_gaze(Walk(), config)


def subjects(paths: Scanpaths) -> dict[str, Subject]:
    """Return what is timed, by name."""
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    windows = [(i, i, 12) for i in range(BUDGET)]
    belief = np.full(CLASSES, 1.0 / CLASSES)
    calls = {
        function.__name__: lambda function=function: function(paths)
        for function in (
            statistics.by_glimpse,
            statistics.reliability,
            statistics.stopping,
            statistics.risk_coverage,
            gaze_statistics.fixation_map,
            gaze_statistics.area_seen,
            gaze_statistics.saccade_summary,
            gaze_statistics.gaze_dependence,
            gaze_statistics.collapse,
        )
    }
    earlier = [None] * (BUDGET - 1)
    glimpses, beliefs = [*earlier, image[:8, :8]], [*earlier, belief]
    calls["draw_frame"] = lambda: rendering.draw_frame(
        Episode(image, windows, glimpses, BUDGET, beliefs, label=2)
    )

    def repeated(call):
        def run(n: int) -> None:
            for _ in range(n):
                call()

        return Subject(run)

    return {name: repeated(call) for name, call in calls.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="for each subject; default: %(default)s"
    )
    args = parser.parse_args()
    times = interleaved(subjects(random_scanpaths(args.images)), seconds=args.seconds)
    medians = {name: 1e3 * float(np.median(taken)) for name, taken in times.items()}
    frame = medians.pop("draw_frame")
    medians |= {"all statistics": sum(medians.values()), "one frame": frame}
    rows = [[name, f"{median:.2f}"] for name, median in medians.items()]
    print(table([f"{args.images} scanpaths", "milliseconds"], rows))


if __name__ == "__main__":
    main()
