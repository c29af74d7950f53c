"""What other commands left in a run directory comes into the report."""

import json

import pytest

from policies.evaluation.beside import by_kind, measured_beside
from policies.evaluation.robustness_figure import plot_robustness


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
    assert measured_beside(tmp_path) == {"baselines": {}, "robustness": []}


def test_equally_trained_baselines_and_the_whole_image_are_baselines(tmp_path):
    results = {"learned": {"accuracy": 0.8}, "grid": {"accuracy": 0.7}}
    (tmp_path / "baselines.json").write_text(json.dumps({"results": results}))
    (tmp_path / "robustness.json").write_text(json.dumps({"results": ROWS}))
    found = measured_beside(tmp_path)
    assert found["baselines"].keys() == {"grid, equally trained", "full image"}
    assert found["baselines"]["full image"]["accuracy"] == 0.9
    assert found["baselines"]["full image"]["note"].startswith("peeks")
    assert found["robustness"] == ROWS


def test_every_change_is_plotted_from_the_unchanged_images_on(tmp_path):
    kinds = by_kind(ROWS)
    assert [r["strength"] for r in kinds["noise"]] == [0, 8]
    assert plot_robustness(kinds, tmp_path / "figure.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="no changed images"):
        plot_robustness({}, tmp_path / "figure.png")
