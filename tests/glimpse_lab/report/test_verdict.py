"""The verdict: one sentence for each kind of result, never a lead without its caveat."""

from __future__ import annotations

from typing import Any

import pytest
from made_results import made_baseline, made_evaluation

from glimpse_lab.evaluation.result import Baseline, BaselineKind, MatchedBudget
from glimpse_lab.report.verdict import choose_rival, verdict

RANDOM = "random gaze (same agent, off-distribution)"
UNEQUAL = "seen through the classifier trained for the agent"


def rival(
    accuracy: float,
    lead: float,
    interval: tuple[float, float] | None,
    kind: BaselineKind = BaselineKind.SCRIPTED,
) -> Baseline:
    matched = MatchedBudget(n_glimpses=4.5, accuracy=accuracy, lead=lead, lead_ci95=interval)
    return made_baseline(kind, matched_budget=matched)


def said(baselines: dict[str, Baseline] | None = None, **members: Any) -> str:
    sentence = verdict(made_evaluation(**{"baselines": baselines or {}, "chance": 0.1, **members}))
    assert sentence.endswith(".") and ". " not in sentence.replace("; ", " ")  # one sentence
    return sentence


def test_an_agent_at_chance_is_told_so_whatever_its_lead() -> None:
    baselines = {"grid": rival(0.05, 0.05, (0.01, 0.09))}
    found = said(baselines, accuracy=0.11, accuracy_ci95=(0.08, 0.15))
    assert found.startswith("The agent is no better than chance (11.0 % right, chance 10.0 %)")
    assert "no better than chance" not in said(baselines, accuracy=0.2, accuracy_ci95=(0.15, 0.25))


def test_an_agent_that_never_took_a_second_glimpse() -> None:
    baselines = {"grid": rival(0.7, 0.1, (0.05, 0.15))}
    found = said(baselines, mean_glimpses=1.0)
    assert "never took a second glimpse (81.9 % right, chance 10.0 %)" in found
    assert "helped" not in found and "points" not in found
    assert "second" not in said(baselines, mean_glimpses=1.01)
    assert "one glimpse is all that is allowed" in said(baselines, mean_glimpses=1.0, budget=1)


def test_a_lead_beyond_chance_names_its_rival_and_its_interval() -> None:
    trained = rival(0.74, 0.08, (0.061, 0.099), BaselineKind.EQUALLY_TRAINED)
    assert said({"grid (equally trained)": trained}) == (
        "The gaze helped: better by 8.0 points (6.1 to 9.9) than four quadrants in turn (equally "
        "trained), at as many glimpses (81.9 % right, chance 10.0 %)."
    )
    found = said({"grid": rival(0.74, 0.08, (0.061, 0.099))})
    assert f"than four quadrants in turn, {UNEQUAL}, at" in found
    drawn = rival(0.3, 0.5, (0.4, 0.6), BaselineKind.RANDOM_GAZE)
    found = said({RANDOM: drawn})
    assert "than this agent with its gaze drawn at random, which it never trained with, at" in found


@pytest.mark.parametrize("interval", [(-0.012, 0.006), (0.0, 0.02), None])
def test_a_lead_that_may_be_chance_is_none(interval: tuple[float, float] | None) -> None:
    found = said({"grid": rival(0.82, 0.003, interval)})
    assert f"no better than four quadrants in turn, {UNEQUAL}, at" in found
    assert "train longer or change the task" in found and "better by" not in found
    assert "+0.3 points" in found or interval is None


def test_a_loss_is_told() -> None:
    found = said({"grid": rival(0.9, -0.081, (-0.1, -0.062))})
    assert "did not help: worse by 8.1 points (6.2 to 10.0) than" in found


def test_the_rival_is_equally_trained_unless_another_one_does_as_well_as_the_agent() -> None:
    trained = rival(0.74, 0.08, (0.061, 0.099), BaselineKind.EQUALLY_TRAINED)
    weak, strong = rival(0.6, 0.2, (0.1, 0.3)), rival(0.82, 0.0, (-0.01, 0.01))
    oracle = rival(0.99, -0.17, (-0.2, -0.1), BaselineKind.ORACLE)
    both = {"grid": weak, "grid (equally trained)": trained, "saliency": oracle}
    assert "(equally trained)" in said(both) and "classifier" not in said(both)
    assert f"no better than best fixed sequence, {UNEQUAL}" in said({**both, "best-fixed": strong})
    unmeasured = {"old": made_baseline(accuracy=0.9), "saliency": oracle}
    assert choose_rival(made_evaluation(baselines=unmeasured)) is None
    assert "not known" in said(unmeasured)


def test_results_of_before_know_no_chance() -> None:
    found = said({"grid": rival(0.6, 0.2, (0.1, 0.3))}, chance=None)
    assert "81.9 % right)" in found and "chance" not in found
