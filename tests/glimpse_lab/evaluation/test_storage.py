"""Results go into a file and come back equal; what is no result is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_paths import made_paths
from made_results import (
    made_baseline,
    made_disturbance,
    made_evaluation,
    made_metrics,
    made_robustness,
)

from glimpse_lab.evaluation.result import BaselineKind, CurvePoint, Evaluation, MatchedBudget
from glimpse_lab.evaluation.storage import (
    FORMAT,
    StorageError,
    from_json,
    read_result,
    to_json,
    write_result,
)
from glimpse_lab.evaluation.study import describe

EQUAL = MatchedBudget(n_glimpses=5.65, accuracy=0.63, lead=0.19, lead_ci95=(0.14, 0.24))


def full_evaluation(beliefs: bool = True) -> Evaluation:
    """Everything that an evaluation may hold; one class has no image, one glimpse was not taken."""
    rng = np.random.default_rng(0)
    believed = rng.dirichlet(np.ones(3), (40, 4)) if beliefs else None
    glimpses = rng.integers(1, 4, 40)
    paths = made_paths(
        rng.random((40, 4, 3)), rng.integers(0, 2, 40), n_glimpses=glimpses, beliefs=believed
    )
    point = CurvePoint(n_glimpses=1, samples=64.0, coverage=0.5, accuracy=0.1)
    return made_evaluation(
        git=None,
        baselines={
            "drawn": made_baseline(BaselineKind.RANDOM_GAZE, matched_budget=EQUAL),
            "best": made_baseline(
                BaselineKind.FIXED_SEQUENCE, gazes=((0.5, 0.25, 1.0),), curve=(point,), note="found"
            ),
            "saliency": made_baseline(BaselineKind.ORACLE, reads=2304),
        },
        statistics=describe(paths, ["cat", "dog", "owl"]),
        budgets={3: made_metrics(accuracy=0.5)},
        robustness=made_robustness(made_disturbance("clean", 0.0, {}, {})),
        study_seconds=2.5,
    )


@pytest.mark.parametrize(
    "result", [made_evaluation(), full_evaluation(), full_evaluation(beliefs=False)]
)
def test_what_was_written_is_read(tmp_path: Path, result: Evaluation) -> None:
    path = write_result(tmp_path / "metrics.json", result)
    assert read_result(path, Evaluation) == result
    assert list(tmp_path.iterdir()) == [path]  # no temporary file is left


def test_other_tools_find_the_keys_that_they_know() -> None:
    content = json.loads(json.dumps(to_json(full_evaluation())))
    known = {
        *("env", "dataset", "split", "n_images", "accuracy", "accuracy_ci95", "mean_glimpses"),
        *("mean_samples", "sample_fraction", "coverage", "accuracy_by_glimpse", "baselines"),
        *("seconds", "seed", "git", "versions"),
    }
    assert known <= content.keys() and content["format"] == FORMAT
    assert content["git"] is None and content["accuracy_ci95"] == [0.7758, 0.8553]
    drawn = content["baselines"]["drawn"]
    assert drawn["kind"] == "random gaze of the same agent" and drawn["accuracy"] == 0.8189
    assert "reads" not in drawn  # what does not apply is left out
    assert content["budgets"].keys() == {"3"}
    assert "robustness" not in to_json(made_evaluation())


def test_keys_of_others_are_passed_over() -> None:
    content = {**to_json(made_evaluation()), "is_deterministic": True}
    assert from_json(content, Evaluation) == made_evaluation()


def changed(*keys: str, to: Any) -> dict[str, Any]:
    """A full evaluation's content with one value changed, or left out where that is None."""
    content = to_json(full_evaluation())
    place = content
    for key in keys[:-1]:
        place = place[key]
    if to is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "got format None; wanted 1: it was written by another version"),
        (changed("format", to=None), "got format None"),
        (changed("format", to=99), "got format 99; wanted 1"),
        (changed("accuracy", to=None), "got Evaluation without accuracy"),
        (changed("accuracy", to="high"), "got 'high' for Evaluation.accuracy; wanted float"),
        (changed("n_images", to=3.5), "got 3.5 for Evaluation.n_images; wanted int"),
        (changed("accuracy_ci95", to=[0.1]), "got 1 entries of Evaluation.accuracy_ci95; wanted 2"),
        (changed("baselines", to=[]), r"got \[\] for Evaluation.baselines; wanted dict"),
        (
            changed("baselines", "drawn", "kind", to="oracel"),
            "got 'oracel' for Evaluation.baselines.drawn.kind; wanted one of .*oracle",
        ),
        (
            changed("baselines", "drawn", "matched_budget", "lead", to=None),
            "got Evaluation.baselines.drawn.matched_budget without lead; "
            "wanted all of MatchedBudget",
        ),
    ],
)
def test_other_content_is_refused_with_its_place(content: Any, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        from_json(content, Evaluation)


def test_errors_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    with pytest.raises(FileNotFoundError):
        read_result(file, Evaluation)
    file.write_text("{")
    with pytest.raises(StorageError, match=r"metrics\.json is broken"):
        read_result(file, Evaluation)
    file.write_text('{"accuracy": 0.5}')
    with pytest.raises(StorageError, match=r"metrics\.json: got format None"):
        read_result(file, Evaluation)


# ---- what an evaluation knows of itself


def test_the_best_baseline_is_no_oracle_and_has_a_matched_budget() -> None:
    lower = MatchedBudget(n_glimpses=4.5, accuracy=0.55, lead=0.27, lead_ci95=None)
    higher = MatchedBudget(n_glimpses=4.5, accuracy=0.9, lead=-0.08, lead_ci95=None)
    result = made_evaluation(
        baselines={
            "fixed": made_baseline(accuracy=0.7, matched_budget=lower),
            "drawn": made_baseline(BaselineKind.RANDOM_GAZE, accuracy=0.63, matched_budget=EQUAL),
            "saliency": made_baseline(BaselineKind.ORACLE, matched_budget=higher),
            "unmatched": made_baseline(accuracy=0.99),
        }
    )
    assert result.best_baseline == "drawn" and result.random_gaze.accuracy == 0.63
    assert made_evaluation().best_baseline is None
