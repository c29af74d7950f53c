"""Episodes worth looking at, chosen by rules that leave no choice, and their pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.metrics.tracking import held
from glimpse_envs.render.episode import Episode
from glimpse_envs.render.scanpath_figure import draw_scanpath
from glimpse_lab.evaluation.rollout import image_numbers, reread

HELPED, MOST = "Another glimpse helped", "Most glimpses"
"""Titles of groups."""

_HEIGHT = 306  # of one row: text of 20 pixels, which a phone shows at about half the size


class Group(NamedTuple):
    """Episodes chosen by one rule.

    :param title: of the group
    :param rule: how they were chosen, in words
    :param rows: which episodes, int64 (n,), n >= 1
    :param failures: all of them were answered wrongly
    """

    title: str
    rule: str
    rows: NDArray[np.int64]
    failures: bool


class Picture(NamedTuple):
    """One episode.

    :param png: the file's content
    :param caption: what it shows, in a sentence
    """

    png: bytes
    caption: str


class Gallery(NamedTuple):
    """What a page shows of the episodes.

    :param groups: the chosen episodes
    :param pictures: those of each group
    """

    groups: list[Group]
    pictures: list[list[Picture]]


def choose(paths: Scanpaths, *, each: int = 2, seed: int = 0) -> list[Group]:
    """Choose telling episodes; groups that would be empty are left out.

    :param each: the most episodes of a group
    :param seed: of the draws
    """
    rng = np.random.default_rng(seed)
    n, right = len(paths.labels), paths.predictions == paths.labels
    groups: list[Group] = []
    left = np.ones(n, bool)

    def add(title: str, rule: str, among: NDArray[np.bool_], key: NDArray | None = None) -> None:
        draw = rng.random(n)  # for every group, so that one does not change the next
        order = np.lexsort((draw,) if key is None else (draw, key))
        rows = order[(among & left)[order]][:each]
        if len(rows):
            left[rows] = False
            failures = not right[among].any()
            groups.append(Group(title, rule, rows, failures))

    if (paths.predictions < 0).all() and paths.targets.shape[2]:  # nobody had to answer
        share = held(paths.targets, paths.windows).sum(axis=1) / paths.n_glimpses
        everyone = np.ones(n, bool)
        add("At random", f"episodes drawn with seed {seed}", everyone)
        add("Longest on the object", "the most glimpses with its middle", everyone, -share)
        add("Lost soonest", "the fewest glimpses with its middle", everyone, share)
        return [group._replace(failures=False) for group in groups]
    add("Right, at random", f"right answers, drawn with seed {seed}", right)
    add("Wrong, at random", f"wrong answers, drawn with seed {seed}", ~right)
    if paths.n_classes:
        answered = paths.predictions >= 0
        sure = _sureness(paths)
        first = np.argmax(paths.beliefs[:, 0], axis=1) == paths.labels
        add(
            "Surest mistakes",
            "wrong answers with the highest belief in the class that was answered",
            ~right & answered,
            -sure,
        )
        add(
            "Least sure and yet right",
            "right answers with the lowest belief in the class that was answered",
            right,
            sure,
        )
        add(
            HELPED,
            "right answers after a first glimpse that spoke for another class, those first whose "
            "belief in the truth was lowest then",
            right & ~first & (paths.n_glimpses > 1),
            _truth(paths)[:, 0],
        )
        add(
            "Another glimpse misled",
            "wrong answers after a first glimpse that spoke for the truth, those first whose "
            "belief in the truth was highest then",
            ~right & first & (paths.n_glimpses > 1),
            -_truth(paths)[:, 0],
        )
    if paths.n_glimpses.min() < paths.n_glimpses.max():
        everyone = np.ones(n, bool)
        add("Fewest glimpses", "the shortest episodes, right or wrong", everyone, paths.n_glimpses)
        add(MOST, "the longest episodes, right or wrong", everyone, -paths.n_glimpses)
    return groups


def _truth(paths: Scanpaths) -> NDArray[np.float32]:
    """Belief in the true class after each glimpse, (N, budget)."""
    return np.take_along_axis(paths.beliefs, paths.labels[:, None, None], axis=2)[:, :, 0]


def _sureness(paths: Scanpaths) -> NDArray[np.float32]:
    """Belief in the answered class at the end, (N,); NaN without an answer."""
    rows = np.arange(len(paths.labels))
    belief = paths.standing_beliefs[rows, -1, np.maximum(paths.predictions, 0)]
    return np.where(paths.predictions >= 0, belief, np.nan)


def draw_gallery(
    paths: Scanpaths,
    config: GlimpseConfig,
    groups: Sequence[Group] | None = None,
    *,
    index: int | NDArray[np.int64] | None = None,
) -> Gallery:
    """Draw the chosen episodes.

    :param paths: of an evaluation
    :param config: of that evaluation
    :param groups: of ``choose``; None for its defaults
    :param index: of that evaluation
    :raises ValueError: for another configuration or other images than those of the recording
    """
    groups = choose(paths) if groups is None else groups
    rows = np.concatenate([group.rows for group in groups])
    numbers = image_numbers(config, index)[rows]
    columns, classes = _columns(paths.budget), config.dataset.classes
    episodes = recorded_episodes(paths, config, rows, index=index)
    pictures = []
    for episode, row, image in zip(episodes, rows, numbers, strict=True):
        figure = draw_scanpath(episode, columns=columns, light=True, height=_HEIGHT)
        name = f"{config.split.capitalize()} image {image}"
        pictures.append(Picture(_png(figure), f"{name}: {_sentence(paths, row, classes)}"))
    ends = np.cumsum([len(group.rows) for group in groups])
    split = [pictures[end - len(group.rows) : end] for group, end in zip(groups, ends, strict=True)]
    return Gallery(list(groups), split)


def recorded_episodes(
    paths: Scanpaths,
    config: GlimpseConfig,
    rows: ArrayLike,
    *,
    index: int | NDArray[np.int64] | None = None,
) -> list[Episode]:
    """Return some recorded episodes with their pixels, as pictures show them.

    :param paths: of an evaluation
    :param config: of that evaluation
    :param rows: which episodes, int (n,)
    :param index: of that evaluation
    :raises ValueError: for another configuration or other images than those of the recording
    """
    rows = np.asarray(rows, np.int64)
    shown = reread(paths, config, rows, index=index)
    episodes = []
    for i, row in enumerate(rows):
        n = paths.n_glimpses[row]
        episode = Episode(
            image=shown.images[i],
            windows=paths.windows[row, :n],
            glimpses=[config.sensor.picture(glimpse) for glimpse in shown.glimpses[i, :n]],
            budget=paths.budget,
            beliefs=paths.beliefs[row, :n] if paths.n_classes else None,
            classes=config.dataset.classes,
            label=int(paths.labels[row]),
            prediction=int(paths.predictions[row]),
            span=config.sensor.span,
            target=None if shown.targets is None else shown.targets[i],
            follows=config.follows,
        )
        episodes.append(episode)
    return episodes


def _columns(budget: int) -> int:
    """Glimpses side by side: three can be read on a phone, four where there are many."""
    return min(budget, 3 if budget <= 6 else 4)


def _sentence(paths: Scanpaths, row: int, classes: Sequence[str]) -> str:
    """Say what a picture shows, for those who do not see it too."""
    label, prediction, n = paths.labels[row], paths.predictions[row], paths.n_glimpses[row]
    taken = f"{n} glimpse{'s' * int(n != 1)}"
    truth = f"truth {classes[label]}"
    if prediction < 0 and paths.targets.shape[2]:
        on_target = held(paths.targets[row, 1:n], paths.windows[row, 1:n]).sum()
        led = f"on target in {on_target} of {n - 1} after the first"
        return f"{classes[label]} in the last frame, {led}"
    if prediction < 0:
        return f"{truth}, no answer after {taken}"
    verdict = "right" if prediction == label else "wrong"
    said = f"{truth}, answered {classes[prediction]} ({verdict}) after {taken}"
    if not paths.n_classes:
        return said
    belief = paths.beliefs[row, n - 1, prediction]
    return f"{said}, belief in the answer {100 * belief:.0f} %"


def _png(frame: NDArray[np.uint8]) -> bytes:
    """Return a small PNG: 256 colours of its own."""
    file = io.BytesIO()
    picture = Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE)
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
