"""Whether the gaze helped, in one sentence."""

from __future__ import annotations

from typing import NamedTuple

from glimpse_envs.metrics.tracking import Tracking
from glimpse_lab.evaluation.following import best_follower
from glimpse_lab.evaluation.result import Baseline, BaselineKind, Evaluation, MatchedBudget
from glimpse_lab.report.names import shown_name

_NO_BETTER = "train longer or change the task"


class Rival(NamedTuple):
    """The baseline that an agent is held against.

    :param name: in words
    :param caveat: what makes the comparison unequal; empty beside equally trained ones
    :param matched: the baseline and the agent's lead at a matched budget
    """

    name: str
    caveat: str
    matched: MatchedBudget


def choose_rival(result: Evaluation) -> Rival | None:
    """Return the baseline that decides whether the gaze helped; None without one.

    The best equally trained one where there is one. Another takes its place where the agent has no
    lead over it that is beyond chance, since nothing is then gained by the gaze either; and where
    none is equally trained. Oracles are out of competition.
    """
    equal = _best(result, equally_trained=True)
    other = _best(result, equally_trained=False)
    if equal is None or other is None:
        return equal or other
    return other if _leads(equal.matched) and not _leads(other.matched) else equal


def verdict(result: Evaluation) -> str:
    """Return in one sentence whether the gaze helped.

    The agent is held against chance (the share of the commonest class), then against the baseline
    of :func:`choose_rival`. A lead is beyond chance if its 95 % interval lies above 0.

    :param result: of an evaluation; older ones do not know their chance level
    """
    if result.follows:
        return _followed(result)
    chance, low = result.chance, result.accuracy_ci95[0]
    right = f"{100 * result.accuracy:.1f} % right"
    if chance is not None:
        right += f", chance {100 * chance:.1f} %"
    if chance is not None and low <= chance:
        return f"The agent is no better than chance ({right}); {_NO_BETTER}."
    if result.budget == 1:
        return f"The gaze had no part in it: one glimpse is all that is allowed ({right})."
    if result.mean_glimpses <= 1.0:
        return (
            f"The agent never took a second glimpse ({right}), so its gaze had no part in it; a "
            "lower price of a glimpse, a smaller sensor or another task may change that."
        )
    rival = choose_rival(result)
    if rival is None:
        return f"Whether the gaze helped is not known: no baseline was measured ({right})."
    return _beside(rival, right)


def _followed(result: Evaluation) -> str:
    """Return the sentence about an agent that had to follow something.

    It is held against the gaze that is longest on target without following it, oracles left out: it
    followed where its 95 % interval lies above the other's.
    """
    own, rival = result.tracking, best_follower(result)
    if own is None:
        return "Whether the gaze followed is not known: no glimpse was chosen."
    share = f"{_share(own)} of the glimpses held the object"
    if rival is None:
        return f"Whether the gaze followed is not known: no other was measured ({share})."
    name, other = rival
    low = own.on_target if own.on_target_ci95 is None else own.on_target_ci95[0]
    high = other.on_target if other.on_target_ci95 is None else other.on_target_ci95[1]
    beside = f"{share}; of {shown_name(name)}, at as many glimpses, {_share(other)}"
    if low > high:
        return f"The gaze followed: {beside}."
    return f"The gaze did not show to follow: {beside}; {_NO_BETTER}."


def _share(tracking: Tracking) -> str:
    share = f"{100 * tracking.on_target:.1f} %"
    if tracking.on_target_ci95 is None:
        return share
    low, high = (100 * bound for bound in tracking.on_target_ci95)
    return f"{share} ({low:.1f} to {high:.1f})"


def _beside(rival: Rival, right: str) -> str:
    """Return the sentence about an agent beside a baseline."""
    caveat = f", {rival.caveat}" if rival.caveat else ""
    matched = rival.matched
    lead = f"{abs(100 * matched.lead):.1f} points"
    if matched.lead_ci95 is not None:
        low, high = sorted(100 * bound for bound in matched.lead_ci95)
        if low > 0.0:
            return (
                f"The gaze helped: better by {lead} ({low:.1f} to {high:.1f}) than {rival.name}"
                f"{caveat}, at as many glimpses ({right})."
            )
        if high < 0.0:
            return (
                f"The gaze did not help: worse by {lead} ({-high:.1f} to {-low:.1f}) than "
                f"{rival.name}{caveat}, at as many glimpses ({right}); {_NO_BETTER}."
            )
        lead = f"{100 * matched.lead:+.1f} points, {low:+.1f} to {high:+.1f}"
    return (
        f"The gaze did not show to help: no better than {rival.name}{caveat}, at as many glimpses "
        f"({lead}; {right}); {_NO_BETTER}."
    )


def _best(result: Evaluation, *, equally_trained: bool) -> Rival | None:
    """Return the most accurate baseline of a sort at a matched budget, oracles left out."""
    rivals = [
        Rival(shown_name(name), _caveat(baseline), baseline.matched_budget)
        for name, baseline in result.baselines.items()
        if baseline.matched_budget is not None
        and not baseline.is_oracle
        and (baseline.kind is BaselineKind.EQUALLY_TRAINED) == equally_trained
    ]
    return max(rivals, key=lambda rival: rival.matched.accuracy, default=None)


def _caveat(baseline: Baseline) -> str:
    if baseline.kind is BaselineKind.EQUALLY_TRAINED:
        return ""
    if baseline.kind is BaselineKind.RANDOM_GAZE:
        return "which it never trained with"
    return "seen through the classifier trained for the agent"


def _leads(matched: MatchedBudget) -> bool:
    return matched.lead_ci95 is not None and matched.lead_ci95[0] > 0.0
