"""Multiply-adds, parameters and milliseconds of an answer, beside a network of the whole image.

For images of 32 to 1024 pixels a side: six glimpses of a retina, read by a recurrent classifier and
by a canvas. What is computed depends on shapes alone, so that networks and images are random.

    python benchmarks/compute.py
"""

import argparse
import sys

import numpy as np
import torch as th
from stable_baselines3 import PPO

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.evaluation.compute import measure_compute
from policies import GlimpsePolicy

SIDES = (32, 96, 224, 1024)
CLASSIFIERS = {"gru": {"type": "gru"}, "canvas": {"type": "canvas", "width": 32}}
N_IMAGES, BUDGET = 16, 6


def main(arguments: list[str]) -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="pixels")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(arguments)
    th.set_num_threads(args.threads)
    print("| side | classifier | samples | agent: Mmadd | ms | whole image: Mmadd | ms |")
    print("|---|---|---|---|---|---|---|")
    for side in args.sides:
        for name, classifier in CLASSIFIERS.items():
            print(f"| {side} | {name} | {row(side, classifier)} |", flush=True)


def row(side: int, classifier: dict[str, object]) -> str:
    """Return the cells of one agent on images of one size."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * N_IMAGES, side, side, 3), dtype=np.uint8)
    labels = np.arange(4 * N_IMAGES) % 10
    data = ImageDataset.from_arrays(images, labels, images[:N_IMAGES], labels[:N_IMAGES])
    scales = int(np.log2(side / 8))  # the coarsest one sees all of the image
    config = GlimpseConfig(
        dataset=data,
        sensor={"type": "Retina", "size": 8, "scales": max(1, scales)},
        scheme="Saccade",
        budget=BUDGET,
        classifier=classifier,
        observe_classifier_features=True,
        split="test",
    )
    model = PPO(GlimpsePolicy, GlimpseVecEnv(config, 2), n_steps=2, batch_size=4)
    found = measure_compute(model, config, N_IMAGES)
    samples = BUDGET * config.sensor.samples
    whole = found.full_image
    return (
        f"{samples} | {found.multiply_adds / 1e6:.1f} | {found.milliseconds:.2f} | "
        f"{whole.multiply_adds / 1e6:.1f} | {whole.milliseconds:.2f}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
