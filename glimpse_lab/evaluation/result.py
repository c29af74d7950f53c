"""What an evaluation found: frozen values, made once, which ``metrics.json`` and the page show.

Each type is written and read by ``evaluation.storage``; what has the default None is left out of a
file where it is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from glimpse_envs.metrics.belief import (
    AfterGlimpses,
    ClassAccuracy,
    Reliability,
    RiskCoverage,
    Stop,
)
from glimpse_envs.metrics.episodes import Metrics
from glimpse_envs.metrics.gaze_statistics import Collapse, GazeDependence, SaccadeSummary
from glimpse_lab.core_seconds import CoreSeconds


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Which agent was measured, and what it was shown.

    :param env: id of the environment
    :param dataset: its name
    :param split: "train", "validation" or "test"
    :param budget: the most glimpses
    :param timesteps: that the agent has trained for
    :param git: commit of the code that measured
    """

    env: str
    dataset: str
    split: str
    budget: int
    timesteps: int
    git: str | None


# ---- baselines


class BaselineKind(StrEnum):
    """What a baseline is, and so what its lead or lag means."""

    RANDOM_GAZE = "random gaze of the same agent"
    SCRIPTED = "scripted"
    FIXED_SEQUENCE = "fixed sequence"
    ORACLE = "oracle"
    EQUALLY_TRAINED = "equally trained"
    FULL_IMAGE = "full image"


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Cost and accuracy if every episode had to answer after so many glimpses.

    :param samples: mean, per image
    :param coverage: mean fraction of the image seen
    """

    n_glimpses: int
    samples: float
    coverage: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class MatchedBudget:
    """A baseline at the agent's mean number of glimpses.

    :param n_glimpses: mean number at which the baseline is taken
    :param accuracy: of the baseline there
    :param lead: the agent's accuracy on these images, less that
    :param lead_ci95: low and high, 95 % interval of the mean difference image by image (Student's
        t); None for a single image
    """

    n_glimpses: float
    accuracy: float
    lead: float
    lead_ci95: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Baseline(Metrics):
    """The metrics of something that the agent is compared with.

    :param note: how it looks, in words
    :param reads: pixels that an oracle reads in an episode beside its samples
    :param gazes: x, y and zoom of a fixed sequence
    :param curve: for t = 1 .. budget
    """

    kind: BaselineKind
    note: str | None = None
    reads: int | None = None
    gazes: tuple[tuple[float, float, float], ...] | None = None
    curve: tuple[CurvePoint, ...] | None = None
    matched_budget: MatchedBudget | None = None

    @property
    def is_oracle(self) -> bool:
        """Whether it sees what it did not look at, and stands out of competition."""
        return self.kind in (BaselineKind.ORACLE, BaselineKind.FULL_IMAGE)


@dataclass(frozen=True, kw_only=True)
class TrainedBaselines(Subject):
    """Scripted gazes with classifiers of their own: ``baselines.json``.

    :param updates: of each classifier after its pretraining
    :param learned: the agent's own metrics
    :param baselines: by the name of the gaze
    """

    updates: int
    learned: Metrics
    baselines: dict[str, Baseline]


# ---- disturbed images


@dataclass(frozen=True, kw_only=True)
class DisturbedMetrics(Metrics):
    """The metrics on disturbed images.

    :param largest_change: of a pixel, in grey levels
    """

    largest_change: int


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """Agent and full-image classifier on images that were disturbed in one way.

    :param kind: "clean", an attack or a corruption
    :param strength: in its unit
    :param settings: what else the results depend on
    """

    name: str
    kind: str
    strength: float
    unit: str
    settings: dict[str, Any]
    agent: DisturbedMetrics
    full_image: DisturbedMetrics


@dataclass(frozen=True, kw_only=True)
class Robustness(Subject):
    """An agent beside a classifier of the whole image, on disturbed images: ``robustness.json``.

    :param n_images: shown, drawn from the split
    :param full_image_training: how the classifier of the whole image was trained
    :param seed: of the draws
    :param versions: of the software, by name
    """

    n_images: int
    full_image_training: dict[str, Any]
    seed: int
    versions: dict[str, str]
    results: tuple[Disturbance, ...]

    @property
    def is_disturbed(self) -> bool:
        """Whether any images but the clean ones were shown."""
        return any(result.kind != "clean" for result in self.results)


# ---- computing


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of what computes an answer.

    :param multiply_adds: of its layers, mean per image; None where it has none (a sensor looks up)
    :param parameters: that it has learnt
    :param milliseconds: mean per image
    """

    multiply_adds: float | None
    parameters: int
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class Compute:
    """What the answers of an agent cost, and those of a network that sees the whole image.

    :param device: of the networks
    :param threads: of the processor
    :param lanes: images computed side by side
    :param mean_glimpses: per image, of those that were measured
    :param sensor: reading the glimpses
    :param policy: deciding where to look and when to answer
    :param classifier: None where the agent has none
    :param full_image: a network of the classifier's kind on one glimpse of the whole image
    """

    device: str
    threads: int
    lanes: int
    mean_glimpses: float
    sensor: Part
    policy: Part
    classifier: Part | None
    full_image: Part

    @property
    def multiply_adds(self) -> float:
        """Of all parts of the agent, mean per image."""
        return sum(part.multiply_adds or 0.0 for part in self._parts)

    @property
    def parameters(self) -> int:
        """Of all parts of the agent."""
        return sum(part.parameters for part in self._parts)

    @property
    def milliseconds(self) -> float:
        """Of all parts of the agent, mean per image."""
        return sum(part.milliseconds for part in self._parts)

    @property
    def _parts(self) -> list[Part]:
        return [part for part in (self.sensor, self.policy, self.classifier) if part is not None]


# ---- the evaluation


@dataclass(frozen=True, kw_only=True)
class GazeStatistics:
    """How the gaze moves, and how much it depends on the image."""

    dependence: GazeDependence
    saccades: SaccadeSummary
    collapse: Collapse


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What the agent's episodes tell beside their metrics.

    :param curve: for t = 1 .. budget
    :param by_glimpse: likewise
    :param stopping: likewise
    :param per_class: by the name of the class
    :param reliability: None without a classifier
    """

    curve: tuple[CurvePoint, ...]
    by_glimpse: tuple[AfterGlimpses, ...]
    stopping: tuple[Stop, ...]
    risk_coverage: RiskCoverage
    per_class: dict[str, ClassAccuracy]
    gaze: GazeStatistics
    reliability: Reliability | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation(Metrics, Subject):
    """An agent's metrics on a split, and all that was measured beside them: ``metrics.json``.

    :param env_kwargs: settings that differ from those of the environment's id
    :param seed: of the training
    :param seconds: that the agent's episodes and those of its random gaze took
    :param versions: of the software, by name
    :param chance: share of the commonest class among the images
    :param follows: True where all there was to do was to follow what moves, and nobody answered:
        ``tracking`` is then what counts, not the accuracy; else None
    :param core_seconds: that pretraining and training have taken; None for a run that was made
        before they were kept
    :param minutes_of_last_training: of the call that trained and then evaluated
    :param baselines: by name
    :param statistics: None where only the agent was played
    :param budgets: the agent's metrics with other budgets, by budget
    :param robustness: on disturbed images, where that was measured
    :param compute: what an answer costs to compute
    :param study_seconds: that all further comparisons took
    """

    env_kwargs: dict[str, Any]
    seed: int
    seconds: float
    versions: dict[str, str]
    chance: float | None = None
    follows: bool | None = None
    core_seconds: CoreSeconds | None = None
    minutes_of_last_training: float | None = None
    baselines: dict[str, Baseline] = field(default_factory=dict)
    statistics: Statistics | None = None
    budgets: dict[int, Metrics] = field(default_factory=dict)
    robustness: Robustness | None = None
    compute: Compute | None = None
    study_seconds: float | None = None

    @property
    def random_gaze(self) -> Baseline:
        """The same agent with its gaze drawn at random, which every evaluation measures."""
        for baseline in self.baselines.values():
            if baseline.kind is BaselineKind.RANDOM_GAZE:
                return baseline
        raise ValueError(
            f"got an evaluation of {self.env} without random gaze of the same agent; wanted what "
            "eval.py writes: measure anew"
        )

    @property
    def best_baseline(self) -> str | None:
        """Name of the best baseline at a matched budget that is no oracle; None without one."""
        rivals = {
            name: baseline.matched_budget.accuracy
            for name, baseline in self.baselines.items()
            if baseline.matched_budget is not None and not baseline.is_oracle
        }
        return max(rivals, key=rivals.__getitem__, default=None)
