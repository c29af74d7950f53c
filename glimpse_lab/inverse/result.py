"""What an evaluation found: frozen values, which ``metrics.json`` and the page show.

Written and read by :mod:`glimpse_lab.evaluation.storage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from glimpse_lab.core_seconds import CoreSeconds

NEAR = 0.95
"""Similarity above which a prediction counts as near."""


@dataclass(frozen=True, kw_only=True)
class ErrorSummary:
    """Absolute errors of the parameter.

    :param median: of all
    :param mean: of all
    :param percentile90: nine of ten are smaller
    """

    median: float
    mean: float
    percentile90: float


@dataclass(frozen=True, kw_only=True)
class Told:
    """How well some images' actions were told.

    :param n_images: their number
    :param type_accuracy: share whose type was told
    :param type_accuracy_ci95: Wilson's interval of it
    :param mean_similarity: of the canvas with the target at the end
    :param near: share of similarities above ``NEAR``
    :param carried_out: share whose type is right and whose parameter is within a tenth of the true
        one, or within the type's tolerance: a pixel, a degree, a per cent
    :param error: of the true type's own parameter, whether that type was told or not
    :param error_where_right: where it was; None where it never was
    """

    n_images: int
    type_accuracy: float
    type_accuracy_ci95: tuple[float, float]
    mean_similarity: float
    near: float
    carried_out: float
    error: ErrorSummary
    error_where_right: ErrorSummary | None = None


@dataclass(frozen=True, kw_only=True)
class ToldOfType(Told):
    """How well actions of one type were told; errors are in its unit.

    :param unit: of the parameter
    :param by_size: of actions in each third of the type's range that has any
    """

    unit: str
    by_size: dict[str, Told]


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """How well all actions of a split were told; errors are shares of the largest parameter.

    :param total: over all images
    :param by_type: by the type's name
    :param by_size: of actions in each third of their types' ranges
    :param confusion: how often each type (rows) was told as each (columns)
    """

    total: Told
    by_type: dict[str, ToldOfType]
    by_size: dict[str, Told]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Planning:
    """What episodes of several actions came to.

    :param max_steps: the most actions
    :param changes: actions that lay between the images
    :param success: share that reached the similarity ``success_at``
    :param success_ci95: Wilson's interval of it
    :param success_at: where an episode ends
    :param mean_steps: actions taken
    :param mean_similarity: at the end
    """

    max_steps: int
    changes: int
    success: float
    success_ci95: tuple[float, float]
    success_at: float
    mean_steps: float
    mean_similarity: float


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Classical registration beside the agent.

    :param n_images: the first ones of the split, which it was shown
    :param seconds: that it took
    :param registration: how well it told their actions
    :param agent: how well the agent told those of the same images
    """

    n_images: int
    seconds: float
    registration: Predictor
    agent: Told


@dataclass(frozen=True, kw_only=True)
class InverseEvaluation:
    """All that was found of a run of inverse action modelling.

    :param env: id of the environment
    :param env_kwargs: its arguments that differ from those of the id
    :param dataset: its name; None where the environment draws its own images
    :param split: "train", "validation" or "test"
    :param n_images: each shown once
    :param algorithm: that trained the agent
    :param timesteps: that the agent has trained for
    :param seed: of the training
    :param agent: how well it told the actions, the first one of each episode
    :param planning: of episodes of several actions
    :param instructions: where actions are told in words, how well of those with wordings and values
        that training has shown, and of those without, by what is new of them; errors as shares of
        the largest parameter
    :param reference: classical registration, where it was measured
    :param no_reference: why it was not, where that was asked for
    :param seconds: that showing the images took
    :param minutes_of_last_training: of the call that trained to the end
    :param core_seconds: of the whole training
    :param git: commit of the code that measured
    :param versions: of the software
    """

    env: str
    env_kwargs: dict[str, Any]
    dataset: str | None
    split: str
    n_images: int
    algorithm: str
    timesteps: int
    seed: int
    agent: Predictor
    seconds: float
    git: str | None
    versions: dict[str, str]
    planning: Planning | None = None
    instructions: dict[str, Told] | None = None
    reference: Reference | None = None
    no_reference: str | None = None
    minutes_of_last_training: float | None = None
    core_seconds: CoreSeconds | None = None
