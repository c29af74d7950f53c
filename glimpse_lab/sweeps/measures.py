"""What of a result is averaged over seeds, and how it is told."""

from __future__ import annotations

from typing import Any, NamedTuple

from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.inverse.result import InverseEvaluation

Result = Evaluation | InverseEvaluation


class Column(NamedTuple):
    """A column of a table.

    :param title: at its top
    :param name: of the measure
    :param digits: behind the point; None for a share, told in percent
    """

    title: str
    name: str
    digits: int | None = None

    def cell(self, value: float) -> str:
        """Return a value, 12 letters wide."""
        return f"{100 * value:>10.2f} %" if self.digits is None else f"{value:>12.{self.digits}f}"


class Measures(NamedTuple):
    """What is averaged of one kind of result.

    :param names: of the numbers; the first has an interval over the images, ``NAME_ci95``
    :param shares: those of them that lie between 0 and 1
    :param columns: that are printed
    """

    names: tuple[str, ...]
    shares: frozenset[str]
    columns: tuple[Column, ...]


OF_GLIMPSES = Measures(
    ("accuracy", "mean_glimpses", "mean_samples", "sample_fraction", "coverage"),
    frozenset({"accuracy", "sample_fraction", "coverage"}),
    (
        Column("accuracy", "accuracy"),
        Column("glimpses", "mean_glimpses", 2),
        Column("samples", "mean_samples", 1),
    ),
)

OF_ACTIONS = Measures(
    ("type_accuracy", "mean_similarity", "near"),
    frozenset({"type_accuracy", "near"}),
    (
        Column("type", "type_accuracy"),
        Column("similarity", "mean_similarity", 3),
        Column("near", "near"),
    ),
)

OF_FOLLOWING = Measures(
    ("on_target", "distance"),
    frozenset({"on_target"}),
    (Column("on target", "on_target"), Column("pixels off", "distance", 2)),
)

ALL = (OF_GLIMPSES, OF_ACTIONS, OF_FOLLOWING)


def measures_of(result: Result) -> Measures:
    """Return what is averaged of a result."""
    if isinstance(result, InverseEvaluation):
        return OF_ACTIONS
    return OF_FOLLOWING if _is_of_following(result) else OF_GLIMPSES


def value(result: Result, name: str) -> Any:
    """Return a number of a result, or the interval ``NAME_ci95`` of one.

    :param name: of a measure, or of a member of the result
    """
    if isinstance(result, InverseEvaluation):
        return getattr(result.agent.total, name)
    followed = _is_of_following(result) and hasattr(result.tracking, name)
    return getattr(result.tracking if followed else result, name)


def _is_of_following(result: Evaluation) -> bool:
    return bool(result.follows) and result.tracking is not None
