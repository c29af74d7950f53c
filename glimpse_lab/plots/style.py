"""What the plots have in common: colours, axes, and how a figure becomes a file."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import Formatter, FuncFormatter, MaxNLocator

from glimpse_envs.files import replacing
from glimpse_envs.text import readable

# Okabe and Ito's palette ("Color universal design", 2008): told apart by colour-blind people
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
YELLOW, SKY, GREY = "#E69F00", "#56B4E9", "#666666"
WIDTH = 7.0  # inches
_LARGE = {
    "font.size": 13,
    "axes.titlesize": 13,
    "axes.labelsize": 13,
    "legend.fontsize": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "text.parse_math": False,  # see literal_text: of plots that measure their texts
}
_P, _R = ParamSpec("_P"), TypeVar("_R")


def large_print(plot: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function draw with letters that can be read where 7 inches shrink to a phone."""

    @functools.wraps(plot)
    def plot_large(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with rc_context(_LARGE):
            return plot(*args, **kwargs)

    return plot_large


def new_figure(height: float) -> Figure:
    """Return an empty figure of the common width.

    :param height: inches
    """
    return Figure(figsize=(WIDTH, height), dpi=150, layout="constrained")


def few_ticks(n: int) -> MaxNLocator:
    """Return what places at most n + 1 ticks, at values that percents name without a fraction."""
    return MaxNLocator(n, steps=[1, 2, 5, 10])


class Percents(Formatter):
    """Writes shares as tick labels, 0.25 as 25%, with as few digits as tell the ticks."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        """Return a share as percent."""
        return f"{value:.0%}"

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the labels of all ticks of an axis."""
        digits = 0
        while digits < 3 and any(abs(round(v, 2 + digits) - v) > 1e-9 for v in values):
            digits += 1
        return [f"{value:.{digits}%}" for value in values]


def finish(axes: Axes, drawn: bool = True, note: str = "no values yet") -> None:
    """Give the axes light lines to read values by, and a note if nothing was drawn.

    :param drawn: whether there was any value
    :param note: what to say if there was none
    """
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if not drawn:
        middle = {"transform": axes.transAxes, "ha": "center", "va": "center"}
        axes.text(0.5, 0.5, note, color=GREY, **middle)


def save(
    figure: Figure,
    path: str | os.PathLike[str],
    metadata: Mapping[str, str | None] | None = None,
) -> Path:
    """Write the figure under a temporary name, then rename it, so that no half file is seen.

    :param path: its suffix one that matplotlib writes (.png, .svg, .pdf); missing folders are made
    :param metadata: what to write into the file, as matplotlib's ``savefig`` takes it
    :return: the path
    :raises ValueError: another suffix
    """
    path = Path(path)
    canvas = FigureCanvasAgg(figure)
    kinds = canvas.get_supported_filetypes()
    if path.suffix.lower().lstrip(".") not in kinds:
        raise ValueError(f"got the file name {path.name!r}; wanted a suffix of {sorted(kinds)}")
    with replacing(path) as temporary, literal_text(figure):
        # a tight box and a layout by constraints would each draw the whole figure once before
        if layout := figure.get_layout_engine():
            layout.execute(figure)
            figure.set_layout_engine(None)
        box = figure.get_tightbbox(canvas.get_renderer()).padded(0.1)
        figure.savefig(temporary, bbox_inches=box, metadata=metadata)
    return path


@contextmanager
def literal_text(figure: Figure) -> Iterator[None]:
    """Draw every text of a figure as it is: "$5_bill^$" is the name of a class, not a formula."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(_fit(text.get_text()))
    for axis in figure.findobj(Axis):  # names of ticks are written while they are drawn
        names = axis.get_major_formatter()
        if isinstance(names, FuncFormatter):
            axis.set_major_formatter(partial(_fitted, names))
    with rc_context({"text.parse_math": False}):  # of texts that are made while it is drawn
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box is drawn
            yield


def _fit(text: str) -> str:
    return "\n".join(map(readable, text.split("\n")))


def _fitted(names: Formatter, value: float, place: int | None) -> str:
    return _fit(names(value, place))


def drawn_name(name: str) -> str:
    """Return a name as it can be drawn; legends leave those out that begin with "_"."""
    return f" {_fit(name)}" if name.startswith("_") else _fit(name)
