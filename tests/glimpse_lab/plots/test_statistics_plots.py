"""Figures of a real evaluation: files that open, and show what they were given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch as th
from PIL import Image

from glimpse_envs.config import make_config
from glimpse_envs.metrics import belief as statistics
from glimpse_envs.metrics import gaze_statistics
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.sb3 import registered_kwargs
from glimpse_envs.strategies import Uniform
from glimpse_lab.evaluation.rollout import evaluate_gaze
from glimpse_lab.plots.curves import _lines, plot_accuracy_curves
from glimpse_lab.plots.gaze import plot_fixation_maps, plot_saccades
from glimpse_lab.plots.statistics import (
    plot_by_glimpse,
    plot_per_class,
    plot_reliability,
    plot_risk_coverage,
    plot_stopping,
)
from glimpse_lab.plots.style import Percents, new_figure
from policies.classifier.model import TorchClassifier, View

BLUE = (0x00, 0x72, 0xB2)
DIGITS = [f"digit {i}" for i in range(10)]


@pytest.fixture(scope="module")
def paths() -> Scanpaths:
    """Random gaze at digits, with a small classifier that was not trained."""
    settings = {
        **registered_kwargs("GlimpseDigits-MultiCat-v0"),
        "split": "validation",
        "budget": 4,
    }
    th.manual_seed(0)
    reader = TorchClassifier(View.of(make_config(**settings)), "gru", hidden_size=8)
    with th.no_grad():
        reader.readout.weight.mul_(20.0)  # so that beliefs differ
    return evaluate_gaze(Uniform(), make_config(**settings, classifier=reader))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def count(path: Path, colour: tuple[int, int, int]) -> int:
    return int((pixels(path) == colour).all(-1).sum())


def svg(plot: Callable[..., Path], *args: Any, **kwargs: Any) -> str:
    """Return the drawing as SVG with its texts as texts."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        return plot(*args, **kwargs).read_text(encoding="utf-8")


FIGURES: dict[str, Callable[[Scanpaths, Path], Path]] = {
    "by_glimpse": lambda paths, path: plot_by_glimpse(statistics.by_glimpse(paths), path),
    "reliability": lambda paths, path: plot_reliability(statistics.reliability(paths), path),
    "risk": lambda paths, path: plot_risk_coverage(statistics.risk_coverage(paths), path),
    "stopping": lambda paths, path: plot_stopping(statistics.stopping(paths), path),
    "classes": lambda paths, path: plot_per_class(statistics.per_class(paths, DIGITS), path),
    "saccades": lambda paths, path: plot_saccades(gaze_statistics.saccades(paths), path),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_an_evaluation_fit_a_phone(paths: Scanpaths, tmp_path: Path, name: str) -> None:
    path = FIGURES[name](paths, tmp_path / "new" / f"{name}.png")
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left
    height, width, _ = pixels(path).shape
    assert 900 < width < 1150 and 500 < height < 1500
    assert count(path, BLUE) > 300


@pytest.mark.parametrize("name", ["risk", "saccades"])
def test_another_suffix_is_an_error_and_leaves_nothing(
    paths: Scanpaths, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match="wanted a suffix"):
        FIGURES[name](paths, tmp_path / "figure.xyz")
    assert not list(tmp_path.iterdir())


def test_without_a_classifier_only_what_there_is_is_drawn(paths: Scanpaths, tmp_path: Path) -> None:
    blind = replace(paths, beliefs=paths.beliefs[:, :, :0])
    drawing = svg(plot_by_glimpse, statistics.by_glimpse(blind), tmp_path / "blind.svg")
    assert "answers given so far" in drawing
    assert "calibration" not in drawing and "most probable" not in drawing
    drawing = svg(plot_stopping, statistics.stopping(blind), tmp_path / "stopping.svg")
    assert "right answers" in drawing and "confidence" not in drawing
    drawing = svg(plot_risk_coverage, statistics.risk_coverage(blind), tmp_path / "risk.svg")
    assert "fewest glimpses" in drawing


def test_glimpses_and_samples_are_named(paths: Scanpaths, tmp_path: Path) -> None:
    entries = statistics.by_glimpse(paths)
    drawing = svg(plot_by_glimpse, entries, tmp_path / "by_glimpse.svg")
    for entry in entries:
        assert f"({entry.mean_samples:.0f})" in drawing


def test_numbers_of_calibration_and_risk_are_named(paths: Scanpaths, tmp_path: Path) -> None:
    result = statistics.reliability(paths)
    drawing = svg(plot_reliability, result, tmp_path / "reliability.svg")
    assert f"calibration error {result.calibration_error:.1%}" in drawing
    result = statistics.risk_coverage(paths)
    drawing = svg(plot_risk_coverage, result, tmp_path / "risk.svg")
    for key in ("area", "oracle_area", "random_area"):
        assert f"(area {getattr(result, key):.3f})" in drawing


def stop(n_glimpses: int, **members: Any) -> statistics.Stop:
    return statistics.Stop(n_glimpses=n_glimpses, confidence=None, **members)


def test_stops_that_never_were_are_left_out(tmp_path: Path) -> None:
    interval = (0.4, 0.6)
    some = stop(1, share=0.995, n_images=995, accuracy=0.5, accuracy_ci95=interval)
    none = stop(2, share=0.0, n_images=0, accuracy=None, accuracy_ci95=None)
    few = stop(3, share=0.005, n_images=5, accuracy=0.5, accuracy_ci95=interval)
    drawing = svg(plot_stopping, [some, none, few], tmp_path / "stopping.svg")
    assert "100%" in drawing and "0.5%" in drawing
    with pytest.raises(ValueError, match="got no entries"):
        plot_stopping([], tmp_path / "none.png")
    with pytest.raises(ValueError, match="got no entries"):
        plot_by_glimpse([], tmp_path / "none.png")


def entry(accuracy: float | None) -> statistics.ClassAccuracy:
    known = accuracy is not None
    return statistics.ClassAccuracy(
        n_images=9 if known else 0,
        accuracy=accuracy,
        accuracy_ci95=(max(0.0, accuracy - 0.1), min(1.0, accuracy + 0.1)) if known else None,
        mean_glimpses=2.0 if known else None,
    )


def test_classes_stand_in_the_order_of_their_accuracy(tmp_path: Path) -> None:
    classes = {"cat": entry(0.5), "dog": entry(0.9), "none": entry(None), "owl": entry(0.2)}
    drawing = svg(plot_per_class, classes, tmp_path / "classes.svg")
    places = [drawing.index(f">{name}<") for name in ("owl", "cat", "dog")]  # from below
    assert places == sorted(places) and ">none<" not in drawing
    with pytest.raises(ValueError, match="wanted one with images"):
        plot_per_class({"none": entry(None)}, tmp_path / "none.svg")


def test_of_many_classes_the_best_and_the_worst_are_shown(tmp_path: Path) -> None:
    classes = {f"class {i}": entry(i / 100) for i in range(100)}
    drawing = svg(plot_per_class, classes, tmp_path / "classes.svg")
    shown = [i for i in range(100) if f">class {i}<" in drawing]
    assert shown == [*range(20), *range(80, 100)]
    assert "60 classes between them left out" in drawing


# --- curves

STEPS = np.arange(1, 6) * 64.0


def curve(height: float) -> list[tuple[float, float]]:
    return [(x, height + 0.1 * np.tanh(x / 100)) for x in STEPS]


def test_curves_that_end_apart_are_named_at_their_ends(tmp_path: Path) -> None:
    curves = {"agent": curve(0.7), "random": curve(0.5), "whole image": [(1024.0, 0.9)]}
    drawing = svg(
        plot_accuracy_curves, curves, tmp_path / "c.svg", xlabel="samples", emphasised="agent"
    )
    assert 'id="legend_1"' not in drawing
    assert all(drawing.count(f">{name}<") == 1 for name in (*curves, "samples"))


def test_curves_that_end_together_are_named_in_a_legend(tmp_path: Path) -> None:
    curves = {f"a gaze with the number {i}": curve(0.5 + i / 1000) for i in range(6)}
    drawing = svg(
        plot_accuracy_curves, curves, tmp_path / "c.svg", xlabel="samples",
        emphasised="a gaze with the number 2",
    )  # fmt: skip
    assert 'id="legend_1"' in drawing
    assert all(drawing.count(f">{name}<") == 1 for name in curves)


def test_the_emphasised_curve_is_the_strong_one(tmp_path: Path) -> None:
    curves = {"a": curve(0.7), "b": curve(0.5)}
    strong = plot_accuracy_curves(curves, tmp_path / "a.png", xlabel="x", emphasised="a")
    assert count(strong, BLUE) > 2000
    assert 0 < count(strong, (0xD5, 0x5E, 0x00)) < 0.6 * count(strong, BLUE)


def test_points_in_any_order_draw_the_same_curve(tmp_path: Path) -> None:
    one = {"a": curve(0.7), "b": [(64.0, 0.5)]}
    two = {"a": curve(0.7)[::-1], "b": [(64.0, 0.5)]}
    drawn = [
        plot_accuracy_curves(c, tmp_path / "a.png", xlabel="x", emphasised="b").read_bytes()
        for c in (one, two)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({"b": curve(0.5)}, "emphasised='a'"),
        ({"a": []}, r"of which \['a'\] are not finite points"),
        ({"a": [(1.0, np.nan)]}, r"of which \['a'\]"),
        ({"a": [0.5, 0.6]}, r"of which \['a'\]"),
    ],
)
def test_wrong_curves_are_errors(tmp_path: Path, curves: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_accuracy_curves(curves, tmp_path / "a.png", xlabel="x", emphasised="a")


# --- gaze

DARKEST = (0x80, 0x00, 0x26)  # the end of matplotlib's "YlOrRd"


def darkest(path: Path) -> int:
    """Count pixels of nearly the end of the scale, but for the scale's own."""
    picture = pixels(path).astype(int)
    picture = picture[: int(0.8 * len(picture))]
    return int((np.abs(picture - DARKEST).max(-1) < 20).sum())


def test_the_first_map_is_the_largest(tmp_path: Path) -> None:
    full, empty = np.ones((8, 8)), np.zeros((8, 8))
    first = plot_fixation_maps({"all": full, "cat": empty}, tmp_path / "first.png")
    second = plot_fixation_maps({"all": empty, "cat": full}, tmp_path / "second.png")
    assert darkest(first) > 100_000
    assert 3.5 < darkest(first) / darkest(second) < 4.5


def test_maps_share_one_scale(tmp_path: Path) -> None:
    full = np.ones((8, 8))
    alone = plot_fixation_maps({"all": full, "cat": full}, tmp_path / "alone.png")
    beside = plot_fixation_maps({"all": full, "cat": 3 * full}, tmp_path / "beside.png")
    assert darkest(beside) < 0.3 * darkest(alone)  # "all" is paler now


def test_maps_of_an_evaluation(paths: Scanpaths, tmp_path: Path) -> None:
    maps = {"all images": gaze_statistics.fixation_map(paths)}
    maps |= {name: gaze_statistics.fixation_map(paths, label=i) for i, name in enumerate(DIGITS)}
    drawing = svg(plot_fixation_maps, maps, tmp_path / "maps.svg", label="share", aspect=0.8)
    assert all(drawing.count(f">{name}<") == 1 for name in (*maps, "share"))


def test_pictures_shine_through_the_maps(tmp_path: Path) -> None:
    maps = {"all images": np.eye(8), "cat": np.zeros((8, 8))}
    behind = {"all images": np.arange(64.0).reshape(8, 8), "cat": np.zeros((8, 8, 3), np.uint8)}
    plain = pixels(plot_fixation_maps(maps, tmp_path / "plain.png"))
    on_picture = pixels(plot_fixation_maps(maps, tmp_path / "picture.png", behind=behind))
    assert on_picture.mean() < plain.mean() - 1
    assert 700 < plain.shape[1] < 1150


def test_blur_can_be_left_out(tmp_path: Path) -> None:
    point = np.zeros((16, 16))
    point[3, 4] = 1.0
    sharp = plot_fixation_maps({"all": point}, tmp_path / "sharp.png", blur=0)
    soft = plot_fixation_maps({"all": point}, tmp_path / "soft.png", blur=1)

    def coloured(path: Path) -> int:
        picture = pixels(path)[: int(0.8 * len(pixels(path)))].astype(int)
        return int((np.ptp(picture, axis=-1) > 30).sum())

    assert coloured(soft) > 4 * coloured(sharp) > 0


@pytest.mark.parametrize(
    "maps", [{}, {"a": np.zeros((2, 3))}, {"a": np.zeros(4)}, {"a": -np.ones((2, 2))}]
)
def test_wrong_maps_are_errors(tmp_path: Path, maps: dict) -> None:
    with pytest.raises(ValueError, match="wanted at least one"):
        plot_fixation_maps(maps, tmp_path / "a.png")


@pytest.mark.parametrize("amplitude", [[], [0.0, 0.0]])
def test_a_gaze_that_never_moves_is_said_to(tmp_path: Path, amplitude: list[float]) -> None:
    n = len(amplitude)
    still = gaze_statistics.Saccades(np.array(amplitude), np.full(n, np.nan), np.zeros(n))
    assert "the gaze never moves" in svg(plot_saccades, still, tmp_path / "still.svg")


@pytest.mark.parametrize(
    ("shares", "labels"),
    [
        ([0.0, 0.5, 1.0], ["0%", "50%", "100%"]),
        ([0.985, 0.99, 0.995], ["98.5%", "99.0%", "99.5%"]),
        ([0.9875, 0.99], ["98.75%", "99.00%"]),
    ],
)
def test_tick_labels_have_the_digits_that_tell_them_apart(
    shares: list[float], labels: list[str]
) -> None:
    assert Percents().format_ticks(shares) == labels


def test_all_baselines_of_a_report_have_a_colour_of_their_own(tmp_path: Path) -> None:
    names = ["agent", *(f"gaze {i}" for i in range(9))]  # two budgets and seven gazes
    curves = {name: [(1.0, 0.05 * i), (2.0, 0.1 * i)] for i, name in enumerate(names, 1)}
    figure = new_figure(4.0)
    points = {name: np.array(curve) for name, curve in curves.items()}
    lines = _lines(figure.subplots(), points, "agent")
    assert len({line.get_color() for line in lines.values()}) == len(names)
