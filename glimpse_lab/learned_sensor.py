"""Learn where the receptive fields of a sensor pay, and write it as a sensor.

python -m glimpse_lab.learned_sensor ID FILE.yml           such as GlimpseMNIST-RAM-v0

A layer of S x S units, each of which keeps the average of one square of a wide window, is trained
with a recurrent classifier behind it, on episodes along a scripted gaze at zoom 1. Places and sizes
of the squares, on whole pixels, are the sensor (a ``Lattice``); the classifier is forgotten. What
trains an agent with it is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch as th
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from torch import nn

import glimpse_envs  # noqa: F401  # registers the environments
from glimpse_envs.actions import Saccade
from glimpse_envs.components import nearest, resolve
from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.files import replacing
from glimpse_envs.registration import REGISTERED
from glimpse_envs.sensors import Lattice, Retina
from glimpse_envs.sensors.fields import FARTHEST, MOST_ROWS
from glimpse_envs.strategies import Blind, ScriptedGaze
from glimpse_lab.cli.ending import Parser, carry_out, integer, path, text, threads
from glimpse_lab.dotted import with_value
from glimpse_lab.own_pictures import asked_dataset
from glimpse_lab.plots.style import BLUE, new_figure, save
from glimpse_lab.recipes import parse_settings, parse_value
from policies.classifier.model import TorchClassifier, View
from policies.classifier.trainer import Fitter, pretrain
from policies.extractors.layers import GlimpseEncoder
from policies.extractors.learned_fields import LearnedFields

BATCH = 128
GAZE = "Uniform"
_GIVEN = ("sensor", "classifier", "reward", "split")


def learn(
    config: GlimpseConfig,
    *,
    size: int = 12,
    field: float = 4.0,
    gaze: Any = GAZE,
    n_images: int = 300_000,
    seed: int = 0,
    progress: bool = True,
) -> Lattice:
    """Return a sensor of learnt receptive fields.

    :param config: the environment whose train split and scene are seen; its sensor is not used
    :param size: S; the sensor has S x S receptive fields
    :param field: width of the window that they are chosen from, in windows of S pixels
    :param gaze: along which the images are seen, a ``ScriptedGaze``, its name or a dict
    :param n_images: episodes
    :param seed: of the initial weights, images, scenes and gaze
    :param progress: show a progress bar
    :raises ValueError: for a window that is not wider than S pixels, or wider than the image, or
        more receptive fields than a ``Lattice`` has
    """
    if not math.isfinite(field):
        raise ValueError(f"got field={field}; wanted a number of windows, such as 4")
    window = round(size * field)
    window -= (window - size) % 2  # so that the fixation is in the middle of both, on whole pixels
    shorter = min(config.shape[:2])
    if not size < window <= min(shorter, FARTHEST):
        raise ValueError(
            f"got size={size} and field={field:g}, a window of {window} pixels; wanted more than "
            f"{size}, and at most the {shorter} of the image's shorter side, or {FARTHEST}"
        )
    if size > MOST_ROWS:  # said before the training, not after it
        raise ValueError(f"got size={size}; wanted at most {MOST_ROWS}, as a Lattice has")
    wide = replace(
        config,
        sensor=Retina(window, scales=1),
        scheme=Saccade(),  # at zoom 1, where squares are as wide as they are learnt
        start="random" if config.start == "overview" else config.start,
        classifier=Blind(config.dataset.n_classes),
        reward="Terminal",
        observe_classifier_features=False,
        split="train",
    )
    view = View.of(wide)
    classifier = TorchClassifier(view, "gru", seed=seed, encoder="mlp")
    coded, channels = classifier.memory.join.out_features, view.glimpse_shape[2]
    with th.random.fork_rng(devices=[]):
        th.manual_seed(seed)
        fields = LearnedFields(size, window)
        encoder = GlimpseEncoder(channels, size, size, coded, "mlp", black=-1.0)
    classifier.memory.what = nn.Sequential(fields, encoder)
    fitter = Fitter(classifier, seed=seed)
    strategy = resolve(gaze, ScriptedGaze)
    for _ in pretrain(
        fitter, wide, strategy, n_images, batch_size=BATCH, seed=seed, progress=progress
    ):
        pass
    squares = fields.squares()
    squares[..., :2] -= (window - size) // 2
    return Lattice(squares)


def draw(sensor: Lattice, file: Path) -> Path:
    """Draw the receptive fields as squares around the fixation.

    :param sensor: what is drawn
    :param file: PNG, PDF or SVG
    """
    figure = new_figure(7.0)
    axes = figure.add_subplot()
    reach = 0.5 * sensor.size * sensor.span
    corners = sensor.receptive_fields().reshape(-1, 3) - [sensor.size / 2, sensor.size / 2, 0]
    squares = [Rectangle((left, top), side, side) for left, top, side in corners]
    axes.add_collection(PatchCollection(squares, facecolor=(BLUE, 0.06), edgecolor=BLUE))
    axes.plot(0.0, 0.0, "+", color="black", markersize=12)
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    axes.set_xlabel("pixels from the fixation")
    return save(figure, file)


def main(argv: list[str] | None = None) -> None:
    """Learn a sensor as the command line asks."""
    parser = Parser(__doc__)
    parser.add_argument("env", type=text, metavar="ID", help="whose images are seen")
    parser.add_argument("file", type=path, metavar="FILE.yml", help="is written, and a FILE.png")
    parser.add_argument("--dataset", type=text, help="another one, as of train.py")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="env_kwargs.KEY=VALUE",
        help="change the environment, as of train.py: env_kwargs.budget=4",
    )
    parser.add_argument(
        "--size", type=integer(2, MOST_ROWS), default=12, metavar="S", help="of S x S; default: 12"
    )
    parser.add_argument(
        "--field",
        type=float,
        default=4.0,
        metavar="WINDOWS",
        help="width of what they are chosen from, in windows of S pixels; default: 4",
    )
    parser.add_argument(
        "--gaze", default=GAZE, metavar="YAML", help="where one looks; default: %(default)s"
    )
    parser.add_argument(
        "--images", type=integer(1, 10**9), default=300_000, help="default: %(default)s"
    )
    parser.add_argument("--seed", type=integer(0, 2**31 - 1), default=0, help="default: 0")
    parser.add_argument(
        "--threads", type=threads, default=1, metavar="N", help="of PyTorch; default: %(default)s"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure, too")
    args = parser.parse_args(argv)
    carry_out(lambda: _run(args), debug=args.debug, interrupted="stopped; nothing is written")


def _run(args: argparse.Namespace) -> None:
    th.set_num_threads(args.threads)
    if args.file.suffix not in (".yml", ".yaml"):
        raise ValueError(f"got {args.file}; wanted a name that ends with .yml")
    sensor = learn(
        _environment(args.env, args.dataset, args.set),
        size=args.size,
        field=args.field,
        gaze=parse_value(args.gaze),
        n_images=args.images,
        seed=args.seed,
    )
    with replacing(args.file) as temporary:
        temporary.write_text(_as_yaml(sensor))
    picture = draw(sensor, args.file.with_suffix(".png"))
    sides = sensor.receptive_fields()[..., 2]
    print(
        f"{sensor.samples} receptive fields, {sides.min()} to {sides.max()} pixels wide, over "
        f"{sensor.span:.3g} windows: {args.file}, drawn in {picture}"
    )
    words = ["python", "train.py", "--env", args.env]
    words += ["--dataset", args.dataset] if args.dataset else []
    sensor_of = f'env_kwargs.sensor="$(cat {shlex.quote(str(args.file))})"'
    reader = shlex.quote("env_kwargs.classifier={type: gru, encoder: mlp}")
    changes = "".join(f" {shlex.quote(setting)}" for setting in args.set)
    print(f"next:  {shlex.join(words)} --set{changes} {sensor_of} {reader}")


def _environment(env_id: str, dataset: str | None, settings: list[str]) -> GlimpseConfig:
    if env_id not in REGISTERED:
        raise ValueError(f"got {env_id!r}; {nearest(env_id, REGISTERED)}")
    asked, changes = asked_dataset(dataset, parse_settings(settings))
    parts = dict(gymnasium.spec(env_id).kwargs)
    if asked is not None:
        parts["dataset"] = asked
    for key, value in changes.items():
        place, dot, inside = key.partition(".")
        if place != "env_kwargs" or not dot:
            raise ValueError(f"got {key}={value!r}; wanted env_kwargs.NAME=VALUE")
        if inside.partition(".")[0] in _GIVEN:
            raise ValueError(f"got {key}; {', '.join(_GIVEN)} are chosen here")
        parts = with_value(parts, inside, value)
    watched = {"type": "feedforward", "encoder": "mlp"}  # some schemes ask for one
    return make_config(**{**parts, "classifier": watched, "reward": "Terminal"})


def _as_yaml(sensor: Lattice) -> str:
    """Return a sensor as YAML, a row a line."""
    rows = ",\n ".join(json.dumps(row) for row in np.asarray(sensor.squares).tolist())
    return f"{{type: Lattice, squares: [\n {rows}]}}\n"


if __name__ == "__main__":
    main()
