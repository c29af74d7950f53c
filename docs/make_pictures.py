"""Draw the pictures of the documentation, into ``docs/pictures``.

  python docs/make_pictures.py                what every environment shows
  python docs/make_pictures.py --run RUN_DIR  and what a run of `python train.py` has learnt

MNIST, Fashion-MNIST and CIFAR-10 are downloaded unless they are in the data directory; --data
leaves some out ("Inverse" are the pairs of inverse action modelling, "Sensors" is what sensors
see, "Moving" are scenes that move). In an environment's picture moves and zooms are random draws of
its action scheme; of the run, validation images are shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from yaml import safe_load

import glimpse_envs  # noqa: F401  # registers the environments
from glimpse_envs.components import resolve
from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.files import replacing
from glimpse_envs.inverse import InverseCore
from glimpse_envs.inverse import make_config as make_inverse_config
from glimpse_envs.inverse.frames import draw_frame
from glimpse_envs.registration import DATA, INVERSE, SCHEMES
from glimpse_envs.render.drawing import LIGHT, Sheet, draw_dot, enlarged, font
from glimpse_envs.render.episode import Episode
from glimpse_envs.render.image_panel import draw_image
from glimpse_envs.render.scanpath_figure import draw_scanpath
from glimpse_envs.sensors import Crop, Foveated, Lattice, Retina, Sensor
from glimpse_envs.strategies import Blind, OnTarget, Walk
from glimpse_lab.evaluation.rollout import evaluate, evaluate_gaze
from glimpse_lab.report.gallery import HELPED, choose, recorded_episodes
from glimpse_lab.runs import Run

PICTURES = Path(__file__).parent / "pictures"
N_GLIMPSES = 4
PAIRS = {"MNIST": 21, "CIFAR": 1, "GUI": 3}  # validation images
SHARE = 0.7  # of the right parameter that is told in these pictures
HEIGHT = 220  # of a scanpath figure, pixels
HEADING = 30
COLOURS = 128  # of a file

#: of `python -m glimpse_lab.learned_sensor`
LEARNT = Path(__file__).parents[1] / "benchmarks" / "sensors" / "cluttered_mnist100.yml"
#: of equal samples
SENSORS = {
    "Crop, 12 x 12": Crop(12),
    "Retina, 4 of 6 x 6": Retina(6, 4),
    "Foveated, cartesian": Foveated(12),
    "Foveated, log_polar": Foveated(12, "log_polar"),
    "Lattice, learnt": resolve(safe_load(LEARNT.read_text()), Sensor),
}
FIELD = 48  # pixels around the fixation that are shown
#: a validation image of each, and where in the picture or digit the fixation lies
SEEN = {"ClutteredCIFAR": (28, 0.45, 0.3), "ClutteredMNIST100": (3, 0.5, 0.5)}
PANEL, GAP = 168, 8  # pixels
MOVING = {"MovingMNIST": 3, "MovingCIFAR": 7}  # validation images
TIMES = (0, 3, 6, 9, 12)  # frames that are shown


def random_episode(config: GlimpseConfig, image: int) -> Episode:
    """Play an episode of random moves and zooms; of the first draws in which each glimpse is new.

    :param config: the environment
    :param image: of its split
    """
    index = np.array([image])
    for seed in range(1000):
        paths = evaluate_gaze(Walk(), config, classifier=Blind(10), seed=seed, index=index)
        if len(np.unique(paths.windows[0], axis=0)) == N_GLIMPSES:
            break
    (episode,) = recorded_episodes(paths, config, [0], index=index)
    return replace(episode, beliefs=None, prediction=-1, ended=False)


def write(name: str, picture: NDArray[np.uint8], heading: str | None = None) -> None:
    """Write a picture with few colours, which keeps its file small.

    :param picture: uint8 (H, W, 3)
    :param heading: to stand above it
    """
    drawn = Image.fromarray(picture)
    if heading:
        sheet = Image.new("RGB", (drawn.width, drawn.height + HEADING), LIGHT.background)
        sheet.paste(drawn, (0, HEADING))
        place = (8, HEADING // 2 + 2)
        ImageDraw.Draw(sheet).text(place, heading, LIGHT.text, font(17), anchor="lm")
        drawn = sheet
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}.png"
    with replacing(path) as temporary:
        drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(temporary, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def draw_environments(data: Sequence[str]) -> None:
    """Draw an episode of every scheme on each of these data."""
    for name in data:
        for scheme in SCHEMES:
            parts = gymnasium.spec(f"Glimpse{name}-{scheme}-v0").kwargs
            given = {"split": "validation", "budget": N_GLIMPSES, "classifier": Blind(10)}
            config = make_config(**{**parts, **given})
            picture = draw_scanpath(
                random_episode(config, image=1), columns=2, light=True, height=HEIGHT
            )
            sensor, size = type(config.sensor).__name__, config.sensor.size
            scales = f", scales: {config.sensor.scales}" if sensor == "Retina" else ""
            write(f"{name}-{scheme}", picture, f"{scheme}: {sensor} {size} x {size}{scales}")


def draw_inverse() -> None:
    """Draw pairs of inverse action modelling, and what the right type with too little gives."""
    rows = []
    for name, image in PAIRS.items():
        parts = {**INVERSE[f"GlimpseInverse{name}-v0"], "split": "validation"}
        core = InverseCore(make_inverse_config(**parts), n_lanes=1)
        core.seed_all(0)
        core.reset(core.lanes, np.array([image]))
        parameters = np.float32(SHARE) * core.true_parameters
        core.step({"type": core.true_types, "parameters": parameters})
        kind, parameter = core.last[0]
        told = core.config.actions.describe(int(kind), parameter)
        images = core.first[0], core.after[0], core.before[0]
        rows.append(draw_frame(*images, told, float(core.similarity[0]), palette=LIGHT))
    write("Inverse", np.concatenate(rows))


def in_place(sensor: Sensor, glimpse: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what a glimpse at zoom 1 tells of each pixel around the fixation.

    :return: uint8 (FIELD, FIELD, 3), white where it tells nothing
    """
    shown = np.full((FIELD, FIELD, 3), 255, np.uint8)
    if isinstance(sensor, Foveated | Lattice):
        parts = [sensor.picture(glimpse)]
    else:  # the widest window first, finer ones over it
        size = sensor.size
        scales = [glimpse[:, k * size : (k + 1) * size] for k in range(sensor.scales)]
        parts = [s.repeat(2**k, 0).repeat(2**k, 1) for k, s in enumerate(scales)][::-1]
    for part in parts:
        begin = (FIELD - len(part)) // 2
        shown[begin : begin + len(part), begin : begin + len(part)] = part
    if isinstance(sensor, Foveated | Lattice):
        shown[sensor.seen_by < 0] = 255
    return shown


def draw_sensors() -> None:
    """Draw what each sensor sees at one fixation: the glimpse as it is, and in its place."""
    panel = 156  # pixels
    columns, step = 1 + len(SENSORS), panel + GAP
    size = (columns * step + GAP, (2 * len(SEEN)) * step + GAP + HEADING)
    sheet = Image.new("RGB", size, LIGHT.background)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(("what is there", *SENSORS)):
        place = (GAP + column * step, HEADING // 2 + 4)
        draw.text(place, title, LIGHT.text, font(13), anchor="lm")
    for row, (name, (number, x, y)) in enumerate(SEEN.items()):
        parts = gymnasium.spec(f"Glimpse{name}-RAM-v0").kwargs
        given = {"split": "validation", "classifier": Blind(10)}
        core = GlimpseCore(make_config(**{**parts, **given}), 1)
        core.seed_all(0)
        core.reset(core.lanes, np.array([number]))
        left, top, width, height = core.targets()[0]
        image = core.image(0)
        middle = np.array([left + x * width, top + y * height]).round()
        upper = HEADING + 2 * row * step + GAP
        scale = panel / len(image)
        sheet.paste(enlarged(image, panel, panel), (GAP, upper))
        at = np.array([GAP, upper]) + scale * middle
        box = (*(at - 0.5 * scale * FIELD), *(at + 0.5 * scale * FIELD))
        draw.rectangle(box, outline=LIGHT.current, width=2)
        draw_dot(draw, *at, 4, LIGHT.current, 1)
        padded = np.pad(image, ((FIELD, FIELD), (FIELD, FIELD), (0, 0)))
        begin = middle.astype(int) + FIELD - FIELD // 2
        around = padded[begin[1] : begin[1] + FIELD, begin[0] : begin[0] + FIELD]
        sheet.paste(enlarged(around, panel, panel), (GAP, upper + step))
        gaze = np.float32([[*(middle / image.shape[1::-1]), 1.0]])
        for column, sensor in enumerate(SENSORS.values(), start=1):
            glimpse = sensor(image[None], gaze)[0]
            tiles = glimpse
            if isinstance(sensor, Retina):  # two and two
                halves = np.split(glimpse, 2, axis=1)
                tiles = np.concatenate(halves)
            shown = np.broadcast_to(in_place(sensor, glimpse), (FIELD, FIELD, 3))
            for line, picture in enumerate((tiles, shown)):
                corner = (GAP + column * step, upper + line * step)
                sheet.paste(enlarged(picture, panel, panel), corner)
                edge = (*corner, corner[0] + panel - 1, corner[1] + panel - 1)
                draw.rectangle(edge, outline=LIGHT.track)
    write("Sensors", np.array(sheet))


def draw_moving() -> None:
    """Draw frames of scenes that move, with a gaze that follows the named object nearly."""
    step, n = PANEL + 2 * GAP, len(TIMES)
    sheet = Sheet.blank(n * step, len(MOVING) * (step + HEADING), LIGHT)
    for row, (name, image) in enumerate(MOVING.items()):
        parts = gymnasium.spec(f"Glimpse{name}-Pursuit-v0").kwargs
        core = GlimpseCore(make_config(**{**parts, "split": "validation"}), 1)
        core.seed_all(0)
        core.reset(core.lanes, np.array([image]))
        gaze, rng = OnTarget(jitter=0.1), np.random.default_rng(0)
        upper = row * (step + HEADING)
        for t in range(max(TIMES) + 1):
            if t in TIMES:
                episode = Episode(
                    image=core.image(0),
                    windows=core.windows(0),
                    glimpses=[None] * (t + 1),
                    budget=core.config.budget,
                    target=core.targets()[0],
                )
                left = TIMES.index(t) * step + GAP
                box = (left, upper + HEADING + GAP, left + PANEL, upper + HEADING + GAP + PANEL)
                panel = Sheet.blank(step, step, LIGHT)
                draw_image(panel, episode, (GAP, GAP, GAP + PANEL, GAP + PANEL), unit=PANEL / 160)
                sheet.picture.paste(panel.picture, (box[0] - GAP, box[1] - GAP))
                title = f"{name}, glimpse {t + 1}"
                place = (box[0], upper + HEADING // 2 + 4)
                sheet.draw.text(place, title, LIGHT.text, font(13), anchor="lm")
            target = gaze.look(t, core, core.config, rng)
            core.step(core.config.scheme.toward(target, core.gaze, core.geometry))
    write("Moving", np.array(sheet.picture))


def draw_run(folder: Path) -> None:
    """Draw what a trained agent does, and how it learnt."""
    agent = Run.open(folder).load("validation")
    config = agent.env.config
    paths = evaluate(agent.model, config)
    group = next(group for group in choose(paths) if group.title == HELPED)
    (episode,) = recorded_episodes(paths, config, group.rows[:1])
    write("belief", draw_scanpath(episode, columns=3, light=True, height=300))
    for name in ("learning_curve", "figures/accuracy_samples"):
        source = folder / f"{name}.png"
        with Image.open(source) as figure:
            figure.thumbnail((900, 900))
            write(source.stem, np.array(figure.convert("RGB")))


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    still = [name for name in DATA if name not in MOVING]
    data = [*still, "Inverse", "Sensors", "Moving"]
    parser.add_argument("--data", nargs="*", default=data, choices=data, help="of ids")
    parser.add_argument("--run", type=Path, metavar="RUN_DIR", help="evaluated by eval.py")
    args = parser.parse_args()
    draw_environments([name for name in args.data if name in still])
    if "Inverse" in args.data:
        draw_inverse()
    if "Sensors" in args.data:
        draw_sensors()
    if "Moving" in args.data:
        draw_moving()
    if args.run is not None:
        draw_run(args.run)


if __name__ == "__main__":
    main()
