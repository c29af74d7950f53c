"""Multiply-adds, parameters and milliseconds of an answer, beside a network of the whole image.

For images of 32 to 1024 pixels a side: six glimpses of a retina, read by a recurrent classifier and
by a canvas; beside them the canvas's network on one glimpse of the whole image. What is
computed depends on shapes alone, so that networks and images are random.

    python benchmarks/compute.py
"""

import argparse
import sys

import numpy as np
import torch as th
from stable_baselines3 import PPO

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.evaluation.compute import measure_compute, measure_full_image
from policies import GlimpsePolicy

SIDES = (32, 96, 224, 1024)
CLASSIFIERS = {"gru": {"type": "gru"}, "canvas": {"type": "canvas", "width": 32}}
N_IMAGES, BUDGET = 8, 6


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
        data = images_of(side)
        whole = measure_full_image(make(data, CLASSIFIERS["canvas"]), n_images=N_IMAGES)
        for name, classifier in CLASSIFIERS.items():
            config = make(data, classifier)
            model = PPO(GlimpsePolicy, GlimpseVecEnv(config, 2), n_steps=2, batch_size=4)
            agent = measure_compute(model, config, N_IMAGES)
            print(
                f"| {side} | {name} | {BUDGET * config.sensor.samples} | "
                f"{agent.multiply_adds / 1e6:.1f} | {agent.milliseconds:.2f} | "
                f"{whole.multiply_adds / 1e6:.1f} | {whole.milliseconds:.2f} |",
                flush=True,
            )


def images_of(side: int) -> ImageDataset:
    """Return random images of so many pixels a side."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * N_IMAGES, side, side, 3), dtype=np.uint8)
    labels = np.arange(4 * N_IMAGES) % 10
    return ImageDataset.from_arrays(images, labels, images[:N_IMAGES], labels[:N_IMAGES])


def make(data: ImageDataset, classifier: dict[str, object]) -> GlimpseConfig:
    """Return an environment of saccades whose coarsest scale sees all of the image."""
    return GlimpseConfig(
        dataset=data,
        sensor={
            "type": "Retina",
            "size": 8,
            "scales": int(np.log2(data.train.images.shape[1] / 8)),
        },
        scheme="Saccade",
        budget=BUDGET,
        classifier=classifier,
        observe_classifier_features=True,
        split="test",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
