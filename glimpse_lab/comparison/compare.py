"""Runs compared on the same images: image by image, and over the seeds of the same settings.

Two questions are kept apart. *Do these two trained agents differ?* is answered on the images that
both were shown (paired tests; n is the number of images). *Do these settings differ?* is answered
by trainings with several seeds (n is the number of seeds), since another seed of the same settings
may differ by more than the images' noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.metrics.episodes import Episodes, metrics
from glimpse_lab.comparison.settings import differing, flat
from glimpse_lab.evaluation.significance import (
    Estimate,
    accuracy_difference,
    holm,
    mcnemar,
    mean_difference,
    randomisation_test,
    student_mean,
    welch,
)

MOST_PAIRED = 6  # more runs, or groups, are compared with the first alone
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Entry:
    """What is compared: a run, played on some images.

    :param name: of its own, such as the name of the run directory
    :param env: id of the environment
    :param seed: of the training
    :param shown: says which data, split and scene; with ``images``, what was shown
    :param index: numbers of the images in the split, int64 (N,), each once
    :param paths: of these images, in this order
    :param settings: all that the training was told, but for its seed; entries of equal settings are
        one group
    :param timesteps: trained for, if known
    :param planned: timesteps that the training was to take, if known
    :param minutes: of training, if known
    :param git: commit that it was trained with, if known
    """

    name: str
    env: str
    seed: int
    shown: str
    index: NDArray[np.int64]
    paths: Episodes
    settings: Mapping[str, Any] = field(default_factory=dict)
    timesteps: int | None = None
    planned: int | None = None
    minutes: float | None = None
    git: str | None = None

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images were named rightly, bool (N,)."""
        return self.paths.predictions == self.paths.labels


@dataclass(frozen=True)
class Row:
    """A run by itself, see ``glimpse_envs.metrics.episodes.Metrics``.

    The accuracy's interval is Wilson's.

    :param accuracy_per_sample: accuracy / mean samples of an image
    """

    number: int
    name: str
    group: str
    env: str
    seed: int
    n_images: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    mean_glimpses: float
    mean_samples: float
    sample_fraction: float
    coverage: float
    accuracy_per_sample: float
    timesteps: int | None
    minutes: float | None


@dataclass(frozen=True)
class Group:
    """Runs of the same settings: means over ``seeds``, with Student's t interval.

    :param name: "A", "B", ...
    :param settings: those that not all groups have alike, by their names for ``train.py --set``
    """

    name: str
    env: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    accuracy: Estimate
    mean_glimpses: Estimate
    mean_samples: Estimate
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """Two runs on the same images: the first less the second.

    :param accuracy: difference, with Newcombe's paired interval
    :param only_first: images that the first alone names rightly
    :param only_second: images that the second alone names rightly
    :param p_accuracy: of McNemar's exact test
    :param glimpses: difference of the means, with a bootstrap interval over images
    :param p_glimpses: of the exact randomisation test
    :param holm_accuracy: ``p_accuracy``, adjusted for all pairs
    :param holm_glimpses: ``p_glimpses``, adjusted for all pairs
    """

    first: str
    second: str
    n_images: int
    accuracy: Estimate
    only_first: int
    only_second: int
    p_accuracy: float
    glimpses: Estimate
    p_glimpses: float
    holm_accuracy: float = 1.0
    holm_glimpses: float = 1.0


@dataclass(frozen=True)
class GroupPair:
    """Two groups over their seeds: the first less the second, by Welch's test.

    :param p_accuracy: None where neither group varies
    :param holm_accuracy: adjusted for all pairs of groups
    """

    first: str
    second: str
    n_first: int
    n_second: int
    accuracy: Estimate
    p_accuracy: float | None
    holm_accuracy: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found; ``notes`` are sentences that a reader of the tables must know."""

    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    group_pairs: tuple[GroupPair, ...]
    notes: tuple[str, ...]


def compare(entries: Sequence[Entry], *, notes: Iterable[str] = ()) -> Comparison:
    """Compare runs image by image, and groups of equal settings over their seeds.

    Only entries that were shown the same images are tested against each other; a note names those
    that were not. With more than six of them the first is compared with each other one. Holm's
    correction goes over all pairs, for accuracy and for glimpses apart, and over all pairs of
    groups. Runs of equal settings and equal seed count as one seed.

    :param entries: at least two
    :param notes: to put before those of the comparison
    :raises ValueError: fewer, names that occur twice, image numbers that repeat or do not fit the
        episodes, or labels that differ on the same images
    """
    _check(entries)
    settings = [flat(entry.settings) for entry in entries]
    pools = _split_by(entries, _pool)
    members = _split_by(entries, lambda e: (e.env, _pool(e), frozenset(flat(e.settings).items())))
    letters = {e.name: _letter(i) for i, group in enumerate(members) for e in group}
    rows = [_row(i, entry, letters[entry.name]) for i, entry in enumerate(entries, 1)]
    names = differing(settings)
    groups = [_group(_letter(i), group, names) for i, group in enumerate(members)]
    pairs = [_pair(*two) for pool in pools for two in _pairs(pool)]
    group_pairs = []
    for pool in pools:
        inside = [group for group in members if group[0] in pool and len(_seeds(group)) > 1]
        group_pairs += [_group_pair(*two, letters) for two in _pairs(inside)]
    return Comparison(
        tuple(rows),
        tuple(groups),
        tuple(_adjusted(pairs, "accuracy", "glimpses")),
        tuple(_adjusted(group_pairs, "accuracy")),
        (*notes, *_notes(entries, pools, members)),
    )


def _check(entries: Sequence[Entry]) -> None:
    names = [entry.name for entry in entries]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"got runs {names}; wanted two or more, each with a name of its own")
    labels: dict[Any, Entry] = {}
    for entry in entries:
        n = len(entry.paths.labels)
        if np.shape(entry.index) != (n,) or len(np.unique(entry.index)) < n:
            raise ValueError(
                f"{entry.name} has {n} episodes and image numbers of shape "
                f"{np.shape(entry.index)}, {len(np.unique(entry.index))} of them different; "
                "wanted one number for each episode, and each once"
            )
        other = labels.setdefault(_pool(entry), entry)
        if not np.array_equal(other.paths.labels, entry.paths.labels):
            raise ValueError(
                f"{other.name} and {entry.name} have different labels for the same images of "
                f"{entry.shown}; evaluate both anew"
            )


def _pool(entry: Entry) -> tuple[str, bytes]:
    """Return what is equal for entries that were shown the same images."""
    return entry.shown, np.asarray(entry.index, np.int64).tobytes()


def _split_by(items: Sequence[_T], key: Any) -> list[list[_T]]:
    """Return the items in lists of equal keys, in the order of their first ones."""
    found: dict[Any, list[_T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.values())


def _pairs(items: Sequence[_T]) -> list[tuple[_T, _T]]:
    if len(items) <= MOST_PAIRED:
        return list(combinations(items, 2))
    return [(items[0], item) for item in items[1:]]


def _row(number: int, entry: Entry, group: str) -> Row:
    found = metrics(entry.paths)
    return Row(
        number=number,
        name=entry.name,
        group=group,
        env=entry.env,
        seed=entry.seed,
        n_images=found.n_images,
        accuracy=found.accuracy,
        accuracy_ci95=found.accuracy_ci95,
        mean_glimpses=found.mean_glimpses,
        mean_samples=found.mean_samples,
        sample_fraction=found.sample_fraction,
        coverage=found.coverage,
        accuracy_per_sample=found.accuracy / found.mean_samples,
        timesteps=entry.timesteps,
        minutes=entry.minutes,
    )


def _group(name: str, members: list[Entry], names: list[str]) -> Group:
    settings = flat(members[0].settings)
    return Group(
        name=name,
        env=members[0].env,
        runs=tuple(entry.name for entry in members),
        seeds=tuple(_seeds(members)),
        accuracy=student_mean(_by_seed(members, lambda e: e.right.mean())),
        mean_glimpses=student_mean(_by_seed(members, lambda e: e.paths.n_glimpses.mean())),
        mean_samples=student_mean(_by_seed(members, lambda e: e.paths.samples.mean())),
        settings={key: settings[key] for key in names if key in settings},
    )


def _seeds(members: list[Entry]) -> list[int]:
    return list(dict.fromkeys(entry.seed for entry in members))


def _by_seed(members: list[Entry], measure: Any) -> list[float]:
    """Return one number for each seed: the mean over its runs."""
    return [
        float(np.mean([measure(entry) for entry in members if entry.seed == seed]))
        for seed in _seeds(members)
    ]


def _pair(first: Entry, second: Entry) -> Pair:
    one = int((first.right & ~second.right).sum())
    other = int((second.right & ~first.right).sum())
    glimpses = first.paths.n_glimpses - second.paths.n_glimpses
    return Pair(
        first=first.name,
        second=second.name,
        n_images=len(glimpses),
        accuracy=accuracy_difference(first.right, second.right),
        only_first=one,
        only_second=other,
        p_accuracy=mcnemar(one, other),
        glimpses=mean_difference(glimpses),
        p_glimpses=randomisation_test(glimpses),
    )


def _group_pair(first: list[Entry], second: list[Entry], letters: dict[str, str]) -> GroupPair:
    values = [_by_seed(group, lambda e: e.right.mean()) for group in (first, second)]
    difference, p = welch(*values)
    return GroupPair(
        first=letters[first[0].name],
        second=letters[second[0].name],
        n_first=len(values[0]),
        n_second=len(values[1]),
        accuracy=difference,
        p_accuracy=p,
    )


def _adjusted(pairs: list[Any], *measures: str) -> list[Any]:
    """Return the pairs with Holm's p-values over those that have one."""
    for measure in measures:
        known = [i for i, pair in enumerate(pairs) if getattr(pair, f"p_{measure}") is not None]
        adjusted = holm([getattr(pairs[i], f"p_{measure}") for i in known])
        for i, p in zip(known, adjusted, strict=True):
            pairs[i] = replace(pairs[i], **{f"holm_{measure}": p})
    return pairs


def _notes(
    entries: Sequence[Entry], pools: list[list[Entry]], members: list[list[Entry]]
) -> list[str]:
    """Return what a reader must know of this comparison beside its numbers."""
    whose = ["All runs"] if len(pools) == 1 else [_list(e.name for e in pool) for pool in pools]
    notes = [f"{w}: {_shown(pool[0])}." for w, pool in zip(whose, pools, strict=True)]
    if len(pools) > 1:
        notes.append(
            "Runs that were shown other images are not tested against each other: their "
            "differences would be those of the images too."
        )
    notes += [
        f"With more than {MOST_PAIRED} runs, {pool[0].name} is tested against each other one, and "
        "the others not among themselves."
        for pool in pools
        if len(pool) > MOST_PAIRED
    ]
    notes += [
        f"{e.name} was stopped after {e.timesteps:,} of {e.planned:,} timesteps."
        for e in entries
        if e.timesteps is not None and e.planned is not None and e.timesteps < e.planned
    ]
    notes += [
        f"{_list(e.name for e in group if e.seed == seed)} have the same settings and the same "
        f"seed {seed}: over seeds they count once, with their mean."
        for group in members
        for seed in _seeds(group)
        if sum(e.seed == seed for e in group) > 1
    ]
    commits = {e.git: e.name for e in reversed(entries) if e.git is not None}
    if len(commits) > 1:
        found = _list(f"{git} ({name})" for git, name in reversed(commits.items()))
        notes.append(f"The runs were trained with different versions of the code: {found}.")
    return notes


def _shown(entry: Entry) -> str:
    n, index = len(entry.index), np.asarray(entry.index)
    first = "the first " if np.array_equal(index, np.arange(n)) else ""
    return f"{first}{n:,} images of {entry.shown}"


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def _letter(i: int) -> str:
    """Return A to Z, then A2 and so on."""
    return chr(ord("A") + i % 26) + (str(i // 26 + 1) if i >= 26 else "")
