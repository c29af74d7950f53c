"""What other commands left in a run directory comes into the report."""

import json

import pytest

from glimpse_lab.evaluation.external_results import equally_trained, full_image, robustness
from glimpse_lab.plots.robustness import plot_robustness

RESULT = {"split": "test", "budget": 5, "timesteps": 100}


def row(kind: str, strength: float, agent: float, whole: float) -> dict:
    metrics = [{"accuracy": a, "accuracy_ci95": [a - 0.1, a + 0.1]} for a in (agent, whole)]
    return {
        "kind": kind,
        "strength": strength,
        "unit": "grey levels, standard deviation",
        "agent": metrics[0],
        "full image": metrics[1],
    }


ROWS = [row("clean", 0, 0.8, 0.9), row("noise", 8, 0.7, 0.5), row("blur", 1, 0.6, 0.4)]


def test_a_run_directory_without_them_gives_nothing(tmp_path):
    assert equally_trained(tmp_path, RESULT) == {} and robustness(tmp_path, RESULT) is None


def test_equally_trained_baselines_and_the_whole_image_are_baselines(tmp_path):
    results = {"learned": {"accuracy": 0.8}, "grid": {"accuracy": 0.7}}
    (tmp_path / "baselines.json").write_text(json.dumps({**RESULT, "results": results}))
    (tmp_path / "robustness.json").write_text(json.dumps({**RESULT, "results": ROWS}))
    assert equally_trained(tmp_path, RESULT).keys() == {"grid (equally trained)"}
    found = full_image(robustness(tmp_path, RESULT))
    assert found["full image"]["accuracy"] == 0.9
    assert found["full image"]["note"].startswith("oracle")


def test_what_is_about_another_agent_is_left_out_and_said(tmp_path, capsys):
    (tmp_path / "robustness.json").write_text(json.dumps({**RESULT, "results": ROWS}))
    assert robustness(tmp_path, {**RESULT, "budget": 2}) is None
    assert robustness(tmp_path, {**RESULT, "timesteps": 200}) is None
    assert "measured after 100 timesteps" in capsys.readouterr().err
    (tmp_path / "robustness.json").write_text("{")
    with pytest.raises(ValueError, match="is broken"):
        robustness(tmp_path, RESULT)


def test_every_change_is_plotted(tmp_path):
    assert plot_robustness(ROWS, tmp_path / "figure.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="no disturbed images"):
        plot_robustness(ROWS[:1], tmp_path / "figure.png")
