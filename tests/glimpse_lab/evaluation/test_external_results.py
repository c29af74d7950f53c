"""What other commands left in a run directory comes into the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_results import (
    made_baseline,
    made_disturbance,
    made_evaluation,
    made_robustness,
    made_trained,
)

from glimpse_lab.evaluation.external_results import equally_trained, full_image, robustness
from glimpse_lab.evaluation.result import BaselineKind, Disturbance
from glimpse_lab.evaluation.storage import write_result
from glimpse_lab.plots.robustness import plot_robustness

AGENT = made_evaluation(timesteps=512, budget=4)
ABOUT: dict[str, Any] = {"timesteps": 512, "budget": 4}
OTHERS = ({"timesteps": 1024}, {"split": "validation"}, {"budget": 2})
TRAINED = made_baseline(BaselineKind.EQUALLY_TRAINED, accuracy=0.7)


def row(kind: str, strength: float, agent: float, whole: float) -> Disturbance:
    members = [{"accuracy": a, "accuracy_ci95": (a - 0.1, a + 0.1)} for a in (agent, whole)]
    return made_disturbance(kind, strength, *members)


ROWS = (row("clean", 0, 0.8, 0.9), row("noise", 8, 0.7, 0.5), row("blur", 1, 0.6, 0.4))


def test_a_run_directory_without_them_gives_nothing(tmp_path: Path) -> None:
    assert equally_trained(tmp_path, AGENT) == {} and robustness(tmp_path, AGENT) is None


def test_equally_trained_baselines_and_the_whole_image_are_baselines(tmp_path: Path) -> None:
    write_result(tmp_path / "baselines.json", made_trained({"grid": TRAINED}, **ABOUT))
    assert equally_trained(tmp_path, AGENT) == {"grid (equally trained)": TRAINED}
    written = made_robustness(*ROWS, **ABOUT)
    write_result(tmp_path / "robustness.json", written)
    found = robustness(tmp_path, AGENT)
    assert found == written and found.is_disturbed
    ((name, whole),) = full_image(found).items()
    assert (name, whole.accuracy, whole.is_oracle) == ("full image", 0.9, True)
    assert full_image(made_robustness(*ROWS[1:])) == {}


def test_what_is_about_another_agent_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(tmp_path / "baselines.json", made_trained({"grid": TRAINED}, **ABOUT))
    write_result(tmp_path / "robustness.json", made_robustness(*ROWS, **ABOUT))
    for change in OTHERS:
        other = made_evaluation(**{**ABOUT, **change})
        assert equally_trained(tmp_path, other) == {} and robustness(tmp_path, other) is None
    said = capsys.readouterr().err
    assert said.count("after 512 timesteps, this agent has 1,024") == 2


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is broken"), ('{"results": {}}', "another version")]
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, content: str, message: str) -> None:
    for name, read in (("baselines.json", equally_trained), ("robustness.json", robustness)):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=f"{name}.*{message}"):
            read(tmp_path, AGENT)


def test_every_change_is_plotted(tmp_path: Path) -> None:
    assert plot_robustness(ROWS, tmp_path / "figure.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="no disturbed images"):
        plot_robustness(ROWS[:1], tmp_path / "figure.png")
