"""Reward terms, and their sum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.components import Component, check_number, resolve
from glimpse_envs.metrics.information import entropy, log_probability
from glimpse_envs.metrics.tracking import within

_SMALLEST_CROSS_ENTROPY = np.float32(1e-7)  # its inverse stays finite


class Outcome(NamedTuple):
    """What a step of all lanes came to.

    :ivar labels: true classes, int64 (B,)
    :ivar predictions: answers given in this step (by the agent or by the classifier), int64 (B,),
        -1 for none
    :ivar ended: lanes whose episode ended, bool (B,)
    :ivar took_glimpse: lanes that took a glimpse, bool (B,)
    :ivar belief: class probabilities after the step, float32 (B, K), or None
    :ivar previous_belief: those before the step
    :ivar newly_seen: share of the image that the episode's windows cover since this step and did
        not before (of a retina, those of its first scale), float32 (B,), or None where no reward
        asks for it
    :ivar target_offsets: from the middle of the window to that of the target, to the right and
        downwards, in sides of the window, float32 (B, 2), or None where no reward asks for it
    """

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    ended: NDArray[np.bool_]
    took_glimpse: NDArray[np.bool_]
    belief: NDArray[np.float32] | None = None
    previous_belief: NDArray[np.float32] | None = None
    newly_seen: NDArray[np.float32] | None = None
    target_offsets: NDArray[np.float32] | None = None


class Reward(Component):
    """What a step earns: called with an ``Outcome``, returns float32 (B,)."""

    needs_classifier: ClassVar[bool] = False
    needs_newly_seen: ClassVar[bool] = False
    needs_target: ClassVar[bool] = False

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


@dataclass(frozen=True)
class Terminal(Reward):
    """1 at the end of the episode if the answer is right, else 0."""

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        right = outcome.predictions == outcome.labels
        return (right & outcome.ended).astype(np.float32)


@dataclass(frozen=True)
class TerminalProbability(Reward):
    """Probability of the true class at the end of the episode.

    Varies less than :class:`Terminal`, which is its expectation for answers drawn from the belief.
    """

    needs_classifier: ClassVar[bool] = True

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        probability = _label_probability(outcome.belief, outcome.labels)
        return np.where(outcome.ended, probability, 0.0).astype(np.float32)


@dataclass(frozen=True)
class PerStep(Reward):
    """1 at every right prediction, else 0 (a classifier predicts at every step)."""

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        return (outcome.predictions == outcome.labels).astype(np.float32)


@dataclass(frozen=True)
class NegativeCrossEntropy(Reward):
    """Logarithm of the label's probability at every step: minus the classifier's loss."""

    needs_classifier: ClassVar[bool] = True

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        return _label_log_probability(outcome.belief, outcome.labels)


@dataclass(frozen=True)
class InverseCrossEntropy(Reward):
    """tanh(1 / cross-entropy) at every step: grows steeply as the classifier becomes sure.

    Source: the "inverse cross-entropy" reward of the saccader internship report (Yax, Doerig and
    Kietzmann, "Toward machines that see like us").
    """

    needs_classifier: ClassVar[bool] = True

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        cross_entropy = -_label_log_probability(outcome.belief, outcome.labels)
        return np.tanh(1.0 / np.maximum(cross_entropy, _SMALLEST_CROSS_ENTROPY))


@dataclass(frozen=True)
class InformationGain(Reward):
    """Change of the label's log-probability: what the glimpse has told, in nats.

    :param clip: largest absolute value
    """

    needs_classifier: ClassVar[bool] = True

    clip: float = 5.0

    def __post_init__(self) -> None:
        check_number(self, "clip", low=0.0)

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        gain = _label_log_probability(outcome.belief, outcome.labels)
        gain -= _label_log_probability(outcome.previous_belief, outcome.labels)
        return np.clip(gain, -self.clip, self.clip, dtype=np.float32)


@dataclass(frozen=True)
class UncertaintyReduction(Reward):
    """Fall of the belief's entropy: how much surer the glimpse has made the classifier, in nats.

    What ``InformationGain`` is on average if the belief is calibrated, without the luck of the
    label. It does not ask whether the classifier is right: train the classifier beside the agent.
    """

    needs_classifier: ClassVar[bool] = True

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        if outcome.belief is None:
            raise ValueError("this reward needs the belief of a classifier, and none is attached")
        return entropy(outcome.previous_belief) - entropy(outcome.belief)


@dataclass(frozen=True)
class NewlySeen(Reward):
    """Share of the image that is seen for the first time: a bonus for looking elsewhere.

    Beside the fall of a belief's entropy (with a weight of 0.2, say) it is meant for the later
    glimpses: once the classifier is sure of the images it trains on, nothing else tells them where
    to go. Of a retina the first scale counts, since the last one soon sees everything. After an
    overview of a square image nothing is new: for schemes that start at the centre or anywhere.
    """

    needs_newly_seen: ClassVar[bool] = True

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        if outcome.newly_seen is None:
            raise ValueError(
                "got an outcome without newly_seen; a reward that calls NewlySeen must set "
                "needs_newly_seen = True, as Sum does"
            )
        return outcome.newly_seen


@dataclass(frozen=True)
class TimeOnTarget(Reward):
    """1 for every glimpse whose window holds the middle of the target, else 0: to follow it.

    The target is the image that the episode is about, on its canvas. Of a retina the window of the
    first scale counts.
    """

    needs_target: ClassVar[bool] = True

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        return (within(_target_offsets(outcome)) & outcome.took_glimpse).astype(np.float32)


@dataclass(frozen=True)
class NearTarget(Reward):
    """exp(-(d / width)^2 / 2) for every glimpse, d its distance from the middle of the target.

    As :class:`TimeOnTarget`, with a slope that tells which way is better; where the gaze is lost it
    tells no more.

    :param width: distance at which it is 0.61, sides of the window
    """

    needs_target: ClassVar[bool] = True

    width: float = 0.5

    def __post_init__(self) -> None:
        check_number(self, "width", low=1e-3)

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        squares = ((_target_offsets(outcome) / np.float32(self.width)) ** 2).sum(axis=1)
        return np.where(outcome.took_glimpse, np.exp(-0.5 * squares), np.float32(0.0))


@dataclass(frozen=True)
class GlimpseCost(Reward):
    """A price for every glimpse taken after the first.

    :param cost: of one glimpse
    """

    cost: float = 0.01

    def __post_init__(self) -> None:
        check_number(self, "cost", low=-math.inf)

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        return np.where(outcome.took_glimpse, np.float32(-self.cost), np.float32(0.0))


@dataclass(frozen=True)
class Sum(Reward):
    """The weighted sum of several terms.

    :param terms: rewards, as objects, names or dicts
    :param weights: one for each term; None for 1 each
    """

    terms: tuple[Any, ...] = ()
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.terms, (str, dict)):
            raise ValueError(f"got Sum(terms={self.terms!r}); wanted a list of rewards")
        terms = tuple(resolve(term, Reward) for term in self.terms)
        weights = (1.0,) * len(terms) if self.weights is None else _weights(self.weights)
        if not terms or len(weights) != len(terms):
            raise ValueError(
                f"got Sum of {len(terms)} terms with {len(weights)} weights; wanted at least one "
                "term and one weight for each"
            )
        object.__setattr__(self, "terms", terms)
        object.__setattr__(self, "weights", weights)

    @property
    def needs_classifier(self) -> bool:
        """True if any of the terms reads the belief."""
        return any(term.needs_classifier for term in self.terms)

    @property
    def needs_newly_seen(self) -> bool:
        """True if any of the terms reads what was newly seen."""
        return any(term.needs_newly_seen for term in self.terms)

    @property
    def needs_target(self) -> bool:
        """True if any of the terms reads where the target is."""
        return any(term.needs_target for term in self.terms)

    def __call__(self, outcome: Outcome) -> NDArray[np.float32]:
        """Return the reward of each lane, float32 (B,)."""
        total = np.zeros(len(outcome.labels), np.float32)
        for term, weight in zip(self.terms, self.weights, strict=True):
            total += np.float32(weight) * term(outcome)
        return total


def _target_offsets(outcome: Outcome) -> NDArray[np.float32]:
    if outcome.target_offsets is None:
        raise ValueError(
            "got an outcome without target_offsets; a reward that calls TimeOnTarget or NearTarget "
            "must set needs_target = True, as Sum does"
        )
    return outcome.target_offsets


def _weights(weights: Any) -> tuple[float, ...]:
    """Return weights of terms, finite numbers, as floats."""
    listed = isinstance(weights, (list, tuple, np.ndarray))
    if not listed or not all(isinstance(w, Real) and math.isfinite(w) for w in weights):
        raise ValueError(
            f"got Sum(weights={weights!r}); wanted a list of finite numbers, one for each term"
        )
    return tuple(map(float, weights))


def _label_log_probability(
    belief: NDArray[np.float32] | None, labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the logarithm of the belief in the true classes, float32 (B,)."""
    return log_probability(_label_probability(belief, labels))


def _label_probability(
    belief: NDArray[np.float32] | None, labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the belief in the true classes, float32 (B,)."""
    if belief is None:
        raise ValueError("this reward needs the belief of a classifier, and none is attached")
    return belief[np.arange(len(labels)), labels]
