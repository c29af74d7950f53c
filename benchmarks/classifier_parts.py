"""What parts and kinds of the classifier are worth, at equal computing time.

On CIFAR-10, seen as by `GlimpseCIFAR-MultiCat-v0`: an overview, then the four quadrants from a
random one on. Each variant lacks one part and trains for as many core-seconds as the others; its
accuracy on the validation images is taken after each glimpse. With ``--kinds`` kinds of memory are
compared so, each of its default size but for the canvas. Runs that are in the CSV already
are not made again.

    python benchmarks/classifier_parts.py --seconds 120 --seeds 0 1 2 --out parts.csv
    python benchmarks/classifier_parts.py --kinds --seconds 120 --seeds 0 1 2 --out kinds.csv
"""

import argparse
import csv
import math
import time
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from glimpse_envs import GlimpseConfig, ImageDataset, load_dataset
from glimpse_envs.core import Sequences
from glimpse_envs.data.augmentation import ShiftFlip
from glimpse_envs.files import replacing
from glimpse_envs.randomness import episode_keys
from glimpse_envs.strategies import Grid
from glimpse_lab.evaluation.significance import student_mean
from policies.classifier.calibration import calibrate
from policies.classifier.canvas import CanvasLayout
from policies.classifier.memory import Canvas
from policies.classifier.model import TorchClassifier, View
from policies.classifier.trainer import Fitter, pretrain
from policies.classifier.validation import scripted_validation_episodes

GAZE, BUDGET, BATCH, WIDTH = Grid(anywhere=True), 5, 256, 64
AUGMENT = ShiftFlip(4, flip=True, fill="reflect")


class RandomFlip(ShiftFlip):
    """Mirror images drawn anew in every pass, not in turn."""

    def __call__(self, images: NDArray[np.uint8], keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Return the images shifted and mirrored, each by its own draws."""
        return super().__call__(images, episode_keys(keys, np.zeros(len(keys), np.int64)))


class PlanesPerResolution(CanvasLayout):
    """A canvas for each level, side by side, which only the glimpses of that level are painted on.

    Of the coarser ones the network reads one value for each block.
    """

    @property
    def n_values(self) -> int:
        """Number of the planes of values."""
        return super().n_values + (len(self.cells) - 1) * self.channels

    def empty(self, n: int) -> NDArray[np.uint8]:
        """Return n empty canvases, uint8 (n, bytes)."""
        return np.tile(super().empty(n), len(self.cells))

    def paint(
        self,
        canvases: NDArray[np.uint8],
        glimpses: NDArray[np.uint8],
        gaze: NDArray[np.float32],
        counts: NDArray[np.int64],
    ) -> None:
        """Paint the first glimpses of each row, each on the canvas of its level, in place."""
        rows = np.arange(len(counts))[:, None]
        taken = np.arange(gaze.shape[1]) < counts[:, None]
        coarsest, finest = math.log2(self.cells[-1]), math.log2(self.cells[0])
        levels = np.rint((coarsest - finest) * (1.0 - gaze[..., 2])).astype(np.int64)
        for level, canvas in enumerate(np.split(canvases, len(self.cells), axis=1)):
            chosen = taken & (levels == level)
            order = np.argsort(~chosen, axis=1, kind="stable")
            painted = canvas.copy()
            count = chosen.sum(axis=1)
            super().paint(painted, glimpses[rows, order], gaze[rows, order], count)
            canvas[:] = painted

    def painted(
        self,
        glimpses: NDArray[np.uint8],
        gaze: NDArray[np.float32],
        counts: NDArray[np.int64],
        side: int | None = None,
    ) -> NDArray[np.uint8]:
        """Return empty canvases painted as :meth:`paint` does; whole ones alone."""
        if side is not None:
            raise NotImplementedError("squares round a gaze are not defined for this layout")
        canvases = self.empty(len(counts))
        self.paint(canvases, glimpses, gaze, counts)
        return canvases

    def planes(
        self, canvases: NDArray[np.uint8], device: th.device, dtype: th.dtype = th.float32
    ) -> th.Tensor:
        """Return what the network reads: the values of all levels, then their masks."""
        one = CanvasLayout(**{part.name: getattr(self, part.name) for part in fields(self)})
        values, masks = [], []
        for level, canvas in enumerate(np.split(canvases, len(self.cells), axis=1)):
            planes = one.planes(np.ascontiguousarray(canvas), device, dtype)
            of_level, of_masks = planes.split([one.n_values, len(self.cells)], dim=1)
            if level:
                of_level = of_level.unflatten(1, (self.channels, -1)).mean(dim=2)
            values.append(of_level)
            masks.append(of_masks[:, level, None])
        return th.cat(values + masks, dim=1)


@dataclass(frozen=True)
class Variant:
    """What is trained.

    :param fit: settings of the trainer
    :param augment: of the images
    :param kind: of the memory
    :param memory: its settings
    :param layout: kind of the canvas
    :param last_scale: share of the learning rates at the end
    """

    fit: dict[str, Any] = field(default_factory=dict)
    augment: ShiftFlip = AUGMENT
    kind: str = "canvas"
    memory: dict[str, Any] = field(default_factory=dict)
    layout: type[CanvasLayout] = CanvasLayout
    last_scale: float = 0.0


VARIANTS = {
    "all parts": Variant(),
    "AdamW, not Muon": Variant(fit={"optimizer": "adamw"}),
    "rate falls to a tenth, not to 0": Variant(last_scale=0.1),
    "no label smoothing": Variant(fit={"label_smoothing": 0.0}),
    "mirrored at random, not in turn": Variant(augment=RandomFlip(4, flip=True, fill="reflect")),
    "shifts filled with zeros": Variant(augment=ShiftFlip(4, flip=True)),
    "planes per resolution": Variant(layout=PlanesPerResolution),
    "no residual connections": Variant(memory={"residual": False}),
    "read mirrored, too": Variant(memory={"mirror": True}),
}
KINDS = {
    "canvas": Variant(),
    "rcn": Variant(kind="rcn"),
    "rcn of single glimpses": Variant(kind="rcn", memory={"composite": False}),
    "rcn without recurrence": Variant(kind="rcn", memory={"lateral": False, "top_down": False}),
    "gru": Variant(kind="gru"),
    "lstm": Variant(kind="lstm"),
    "feedforward": Variant(kind="feedforward"),
}


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="of one core, each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    compared = parser.add_mutually_exclusive_group()
    compared.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    compared.add_argument("--kinds", nargs="*", choices=KINDS, help="of memory, instead; none: all")
    parser.add_argument("--data", default="cifar10", help="name of the data set")
    parser.add_argument("--out", type=Path, default=Path("classifier_parts.csv"))
    args = parser.parse_args(arguments)
    th.set_num_threads(1)
    data = load_dataset(args.data)
    variants, names, reference = VARIANTS, args.variants, "all parts"
    if args.kinds is not None:
        variants, names, reference = KINDS, args.kinds or list(KINDS), "canvas"
    done = {(row["variant"], int(row["seed"])) for row in read(args.out)}
    jobs = [(name, seed) for seed in args.seeds for name in names]
    for name, seed in tqdm([job for job in jobs if job not in done], desc="trainings"):
        found = train(variants[name], data, seed, args.seconds)
        append(args.out, {"variant": name, "seed": seed, **found})
    rows = [row for row in read(args.out) if (row["variant"], int(row["seed"])) in jobs]
    print(table(rows, reference))


def train(variant: Variant, data: ImageDataset, seed: int, seconds: float) -> dict[str, Any]:
    """Return the accuracies on validation images of one training, in percent."""
    config = GlimpseConfig(
        dataset=data,
        sensor="Crop",
        scheme="MultiCategorical",
        budget=BUDGET,
        augment=variant.augment,
    )
    n_images = int(rate(variant, config, seed) * seconds)
    classifier, fitter = make(variant, config, seed)
    begin = time.process_time()
    scales = (1.0, variant.last_scale)
    for _ in pretrain(
        fitter, config, GAZE, n_images, batch_size=BATCH, scales=scales, seed=seed, progress=False
    ):
        pass
    took = time.process_time() - begin
    episodes = scripted_validation_episodes(config, GAZE, len(data.validation), seed)
    classifier.bfloat16 = fitter.bfloat16  # sooner
    calibrate(classifier, episodes)
    beliefs = read_beliefs(classifier, episodes)
    right = (beliefs.argmax(axis=2) == episodes.labels[:, None]).mean(axis=0)
    gap = reliability_gap(beliefs[:, -1], episodes.labels)
    shares = {f"glimpse_{t + 1}": f"{100 * share:.2f}" for t, share in enumerate(right)}
    return {"images": n_images, "core_seconds": f"{took:.0f}", **shares, "ece": f"{100 * gap:.2f}"}


def make(variant: Variant, config: GlimpseConfig, seed: int) -> tuple[TorchClassifier, Fitter]:
    """Return an untrained classifier and its trainer."""
    view = View.of(config)
    settings = {"width": WIDTH, **variant.memory} if variant.kind == "canvas" else variant.memory
    classifier = TorchClassifier(view, variant.kind, seed=seed, **settings)
    if variant.layout is not CanvasLayout:
        with th.random.fork_rng(devices=[]):
            th.manual_seed(seed)
            layout = variant.layout(**vars(view.layout()))
            classifier.memory = Canvas(layout, **settings)
            classifier.readout = nn.Linear(classifier.memory.hidden_size, view.n_classes)
        classifier.to(memory_format=th.channels_last)
    return classifier, Fitter(classifier, seed=seed, **variant.fit)


def rate(variant: Variant, config: GlimpseConfig, seed: int) -> float:
    """Return the images that one core trains on in a second."""
    _, fitter = make(variant, config, seed)
    steps = pretrain(fitter, config, GAZE, 10**6, batch_size=BATCH, seed=seed, progress=False)
    list(islice(steps, 3))  # compiles
    begin = time.process_time()
    n_updates = len(list(islice(steps, 12)))
    return n_updates * BATCH / (time.process_time() - begin)


def read_beliefs(classifier: TorchClassifier, episodes: Sequences) -> NDArray[np.float32]:
    """Return what is believed after each glimpse, float32 (n, T, K)."""
    state = classifier.start(len(episodes.labels))
    beliefs = []
    for t in range(episodes.gaze.shape[1]):
        gaze = np.ascontiguousarray(episodes.gaze[:, t])
        reading = classifier.update(state, episodes.glimpses[:, t], gaze)
        state = reading.state
        beliefs.append(reading.belief)
    return np.stack(beliefs, axis=1)


def reliability_gap(beliefs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the expected calibration error, 15 bins of equal width (Guo et al. 2017)."""
    confidence, right = beliefs.max(axis=1), beliefs.argmax(axis=1) == labels
    bins = np.minimum((15 * confidence).astype(int), 14)
    gaps = [abs((confidence - right)[bins == k].sum()) for k in range(15)]
    return sum(gaps) / len(labels)


def table(rows: list[dict[str, str]], reference: str) -> str:
    """Return means over seeds, and differences to the reference seed by seed, in Markdown.

    :param rows: of the CSV
    :param reference: name of the variant that the others are compared with
    """
    last = f"glimpse_{BUDGET}"
    by_name: dict[str, dict[int, dict[str, str]]] = {}
    for row in rows:
        by_name.setdefault(row["variant"], {})[int(row["seed"])] = row
    compared = by_name.get(reference, {})
    lines = [
        f"| variant | images | overview | all five | to {reference} | ECE |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in by_name.items():
        first, whole = (
            np.mean([float(r[key]) for r in runs.values()]) for key in ("glimpse_1", last)
        )
        images = np.mean([int(r["images"]) for r in runs.values()])
        gap = np.mean([float(r["ece"]) for r in runs.values()])
        pairs = [
            float(run[last]) - float(compared[seed][last])
            for seed, run in runs.items()
            if seed in compared and name != reference
        ]
        change = ""
        if pairs:
            found = student_mean(pairs)
            change = f"{found.value:+.1f}"
            if found.low is not None:
                change += f" ({found.low:+.1f} to {found.high:+.1f})"
        lines.append(
            f"| {name} | {images:,.0f} | {first:.1f} | {whole:.1f} | {change} | {gap:.1f} |"
        )
    return "\n".join(lines)


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of the CSV, none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the CSV, which appears only when it is whole."""
    rows = [*read(path), {key: str(value) for key, value in row.items()}]
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
