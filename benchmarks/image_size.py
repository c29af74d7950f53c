"""What a step costs on images from 32 to 2048 pixels a side, resets included.

    python benchmarks/image_size.py [--sides 32 512 2048] [--lanes 64 256] [--seconds 4]

Random moves and zooms of ``MultiCategorical`` by a crop of 8 x 8, episodes of eight glimpses, on a
train split of random images in memory, with shifts of a sixteenth of the side and without. Splits
of more than 256 MiB are read from a pyramid, smaller ones from a table (or, shifted, from copies).
The sizes take turns; what is told is the median. Then by how much glimpses from a pyramid differ
from exact averages on two photographs of 427 x 640 pixels that come with scikit-learn.

    python benchmarks/image_size.py --memory FOLDER [--lanes 64]

What memory 2,000 steps take at most, on the photographs of a folder as they come: the whole
process, with what loading them took.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from sklearn.datasets import load_sample_images
from timing import Subject, interleaved

from glimpse_envs import GlimpseConfig, ImageDataset, load_dataset
from glimpse_envs.core import GlimpseCore
from glimpse_envs.data.datasets import DatasetError
from glimpse_envs.pyramid import FINENESS, pyramid
from glimpse_envs.sensors import Crop

_BYTES = 2**29


def images_of(side: int) -> ImageDataset:
    """Return random images of so many pixels a side, half a gibibyte, but at most 5,000."""
    n = min(5000, max(24, _BYTES // (3 * side**2)))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    labels = np.arange(n) % 10
    return ImageDataset.from_arrays(images, labels, images[:20], labels[:20])


class Steps:
    """Steps of a core whose lanes are reset where they end."""

    def __init__(self, side: int, n_lanes: int, data: ImageDataset, shifted: bool) -> None:
        augment = {"type": "ShiftFlip", "shift": side // 16} if shifted else None
        config = GlimpseConfig(dataset=data, budget=8, augment=augment)
        self.core = GlimpseCore(config, n_lanes)
        self.core.seed_all(0)
        self.core.reset(self.core.lanes)
        rng = np.random.default_rng(0)
        moves = rng.integers(0, (9, 3), (64, n_lanes, 2))
        self.actions = np.concatenate([moves, np.zeros((64, n_lanes, 1), np.int64)], axis=2)

    def run(self, calls: int) -> None:
        """Carry out so many steps of all lanes."""
        for k in range(calls):
            step = self.core.step(self.actions[k % len(self.actions)])
            if step.ended.any():
                self.core.reset(step.ended.nonzero()[0])


def print_errors() -> None:
    """Print how far glimpses are from the exact averages."""
    photos = np.stack(load_sample_images().images)
    geometry = Crop(8).geometry(*photos.shape[1:3])
    rng = np.random.default_rng(0)
    gaze = geometry.clamp(rng.random((10_000, 3), np.float32))
    rows = rng.integers(0, len(photos), len(gaze))
    exact = Crop(8).read(photos, rows, gaze)
    error = np.abs(Crop(8).read_pyramid(pyramid(photos), rows, gaze).astype(int) - exact)
    coarse = geometry.sampled_windows(gaze)[:, 2] / 8 >= 2 * FINENESS
    for name, off in (("all glimpses", error), ("those from smaller copies", error[coarse])):
        print(
            f"{name}: {off.mean():.2f} grey levels off in the mean, at most {off.max()}, "
            f"{100 * (off > 2).mean():.2f} % of the pixels more than 2"
        )


def print_memory(folder: str, n_lanes: int) -> None:
    """Print the most memory that this process has had resident."""
    import resource  # not on Windows

    data = load_dataset(f"folder:{folder}")
    steps = Steps(min(data.image_shape[:2]), n_lanes, data, shifted=True)
    steps.run(2000)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{data}: {type(steps.core.source).__name__}, {megabytes:.0f} MB at most")


def main(arguments: list[str]) -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 128, 512, 2048])
    parser.add_argument("--lanes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each, all repeats together")
    parser.add_argument("--memory", metavar="FOLDER", help="of photographs")
    args = parser.parse_args(arguments)
    if args.memory:
        try:
            print_memory(args.memory, args.lanes[0])
        except DatasetError as error:
            parser.error(str(error))
        return
    data = {side: images_of(side) for side in args.sides}
    print("| side | lanes | shifted | us for a step of a lane | of the smallest side's |")
    print("|---|---|---|---|---|")
    for n_lanes in args.lanes:
        for shifted in (False, True):
            subjects = {
                str(side): Subject(Steps(side, n_lanes, data[side], shifted).run)
                for side in args.sides
            }
            seconds = {
                side: float(np.median(times))
                for side, times in interleaved(subjects, seconds=args.seconds).items()
            }
            for side, taken in seconds.items():
                ratio = taken / seconds[str(args.sides[0])]
                print(
                    f"| {side} | {n_lanes} | {'yes' if shifted else 'no'} | "
                    f"{1e6 * taken / n_lanes:.2f} | {ratio:.2f} |",
                    flush=True,
                )
    print_errors()


if __name__ == "__main__":
    main(sys.argv[1:])
