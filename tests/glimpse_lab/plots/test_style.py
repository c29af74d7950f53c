"""Texts of the user in figures: drawn as they are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glimpse_lab.plots.curves import plot_accuracy_curves
from glimpse_lab.plots.style import drawn_name, new_figure, save
from glimpse_lab.plots.training import plot_confusion

NAMES = ["$5_bill^$", "cost $", "\\frac{1}", "_x^2_", "$\\nothing{$", "caf\udce9", "a\0b", "猫", ""]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_any_text_is_drawn(name: str, suffix: str, tmp_path: Path) -> None:
    figure = new_figure(3)
    axes = figure.subplots()
    axes.plot([1, 2], label=f"1: {name}")
    axes.set(title=name, xlabel=name, ylabel=name)
    axes.set_xticks([0, 1], [name, "b"])
    axes.legend(title=name)
    axes.text(0.5, 0.5, name)
    axes.annotate(name, (0, 1))
    assert save(figure, tmp_path / f"x{suffix}").stat().st_size > 1000


def test_a_formula_is_drawn_as_the_text_that_it_is(tmp_path: Path) -> None:
    figure = new_figure(2)
    figure.text(0.1, 0.5, "$x$")
    literal = np.asarray(Image.open(save(figure, tmp_path / "a.png")))
    figure = new_figure(2)
    figure.text(0.1, 0.5, r"\$x\$")  # matplotlib's own way to write it
    escaped = np.asarray(Image.open(save(figure, tmp_path / "b.png")))
    assert literal.shape != escaped.shape  # the backslashes are drawn, too
    figure = new_figure(2)
    figure.text(0.1, 0.5, "x", style="italic")
    assert np.asarray(Image.open(save(figure, tmp_path / "c.png"))).shape != literal.shape


def test_classes_and_runs_of_any_name_have_their_plots(tmp_path: Path) -> None:
    matrix = np.eye(len(NAMES), dtype=int)
    assert plot_confusion(matrix, NAMES, tmp_path / "confusion.png").exists()
    points = {name: [(10.0, 0.5), (20.0, 0.6)] for name in NAMES}
    file = plot_accuracy_curves(points, tmp_path / "curves.png", emphasised="_x^2_", xlabel="$x")
    assert file.exists()


def test_a_drawn_names_what_begins_with_an_underscore() -> None:
    axes = new_figure(2).subplots()
    axes.plot([1], label=drawn_name("_x"))
    axes.plot([1], label=drawn_name("x"))
    assert [text.get_text().strip() for text in axes.legend().get_texts()] == ["_x", "x"]
