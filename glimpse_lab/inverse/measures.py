"""From what was told of images to what an evaluation found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.inverse import ActionTable, InverseConfig
from glimpse_envs.inverse.actions import ANGLE
from glimpse_envs.metrics.episodes import wilson_interval
from glimpse_lab.inverse.result import (
    NEAR,
    ErrorSummary,
    Planning,
    Predictor,
    Told,
    ToldOfType,
)
from glimpse_lab.inverse.rollout import Answers

SIZES = ("small", "medium", "large")
"""Thirds of the range of an action's size, from the smallest to the largest that is shown."""

_PART = 0.1
"""Of the true parameter, that one which carries an action out may be beside it."""


def measure(answers: Answers, table: ActionTable) -> Predictor:
    """Return how well the actions of all images were told.

    Where several actions lie between the images, the true type is that of the largest one, as a
    share of the largest of its type, and any type that was taken is right.

    :param answers: of at least one image
    :param table: of the environment
    """
    judged = _judged(answers, table)
    true, right = judged.true, judged.right

    def by_size(chosen: NDArray[np.bool_], largest: float = 1.0) -> dict[str, Told]:
        return {
            name: judged.told(part, largest)
            for name, part in ((n, chosen & (judged.third == i)) for i, n in enumerate(SIZES))
            if part.any()
        }

    def by_type() -> Iterator[tuple[str, ToldOfType]]:
        for k, name in enumerate(table.names):
            chosen, largest = true == k, float(table.largest[k])
            if chosen.any():
                yield (
                    name,
                    ToldOfType(
                        **vars(judged.told(chosen, largest)),
                        unit=table.units[k],
                        by_size=by_size(chosen, largest),
                    ),
                )

    confusion = np.zeros((len(table), len(table)), np.int64)
    np.add.at(confusion, (np.where(right, answers.types, true), answers.types), 1)
    every = np.ones(len(answers), bool)
    return Predictor(
        total=judged.told(every),
        by_type=dict(by_type()),
        by_size=by_size(every),
        confusion=tuple(map(tuple, confusion.tolist())),
    )


def measure_instructions(answers: Answers, config: InverseConfig) -> dict[str, Told] | None:
    """Return how well instructions were carried out by what is new of them; None without them.

    :param answers: of at least one image
    :param config: of the environment
    """
    if config.sentences is None:
        return None
    judged = _judged(answers, config.actions)
    word, value = answers.new_word, answers.new_value
    wording = answers.new_wording & ~word
    known = ~wording & ~word
    kinds = {
        "known wording and value": known & ~value,
        "new value": known & value,
        "new wording": wording & ~value,
        "new wording and value": wording & value,
        "word never heard": word,
    }
    return {name: judged.told(chosen) for name, chosen in kinds.items() if chosen.any()}


def measure_planning(answers: Answers, config: InverseConfig) -> Planning | None:
    """Return what episodes came to; None where they have one action.

    :param answers: of at least one image
    :param config: of the environment
    """
    if config.max_steps == 1:
        return None
    n_successes = int(answers.success.sum())
    return Planning(
        max_steps=config.max_steps,
        changes=config.changes,
        success=n_successes / len(answers),
        success_ci95=wilson_interval(n_successes, len(answers)),
        success_at=float(config.success),
        mean_steps=float(answers.n_steps.mean()),
        mean_similarity=float(answers.similarity.mean(dtype=np.float64)),
    )


@dataclass(frozen=True)
class _Judged:
    """What was told of N images beside what was true, one row each.

    :param true: type, of several the largest, int64 (N,)
    :param right: whether a type that was taken was told, bool (N,)
    :param errors: of the true type's parameter, as shares of its largest, float64 (N,)
    :param third: of the type's range that the true parameter is in, int64 (N,)
    :param done: whether the type is right and the parameter near enough, bool (N,)
    :param similarity: float32 (N,)
    """

    true: NDArray[np.int64]
    right: NDArray[np.bool_]
    errors: NDArray[np.float64]
    third: NDArray[np.int64]
    done: NDArray[np.bool_]
    similarity: NDArray[np.float32]

    def told(self, chosen: NDArray[np.bool_], largest: float = 1.0) -> Told:
        """Return how well the actions of some images were told.

        :param chosen: bool (N,)
        :param largest: parameter, in whose unit errors are given
        """
        right, errors = self.right[chosen], largest * self.errors[chosen]
        n_right, similarity = int(right.sum()), self.similarity[chosen]
        return Told(
            n_images=len(right),
            type_accuracy=n_right / len(right),
            type_accuracy_ci95=wilson_interval(n_right, len(right)),
            mean_similarity=float(similarity.mean(dtype=np.float64)),
            near=float((similarity > NEAR).mean()),
            carried_out=float(self.done[chosen].mean()),
            error=_summary(errors),
            error_where_right=_summary(errors[right]) if n_right else None,
        )


def _judged(answers: Answers, table: ActionTable) -> _Judged:
    rows = np.arange(len(answers))
    true = np.abs(answers.true_parameters).argmax(axis=1)
    right = answers.true_parameters[rows, answers.types] != 0.0
    size = answers.true_parameters[rows, true]
    errors = np.abs(answers.parameters[rows, true] - size).astype(np.float64)
    turned = table.attributes[true] == ANGLE
    errors[turned] = _shorter_way(errors[turned], table.largest[true][turned])
    least = (table.smallest / table.largest)[true]
    allowed = np.maximum(_PART * np.abs(size), (table.tolerance / table.largest)[true])
    return _Judged(
        true=true,
        right=right,
        errors=errors,
        third=np.clip(3.0 * (np.abs(size) - least) / (1.0 - least), 0, 2).astype(np.int64),
        done=right & (errors <= allowed),
        similarity=answers.similarity,
    )


def _shorter_way(errors: NDArray[np.float64], largest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return errors of angles the shorter way round, all as shares of the largest, (n,) each."""
    degrees = (errors * largest) % 360.0
    return np.minimum(degrees, 360.0 - degrees) / largest


def _summary(errors: NDArray[np.float64]) -> ErrorSummary:
    return ErrorSummary(
        median=float(np.median(errors)),
        mean=float(errors.mean()),
        percentile90=float(np.percentile(errors, 90)),
    )
