"""Figures of where an agent looks: maps of its fixations, its saccades.

As in ``glimpse_lab.plots.statistics``, ``path`` is that of the file and is returned.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, PowerNorm
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from glimpse_envs.metrics.gaze_statistics import Saccades
from glimpse_lab.plots.style import (
    BLUE,
    WIDTH,
    Percents,
    few_ticks,
    finish,
    large_print,
    new_figure,
    save,
)

_PATH = str | os.PathLike[str]
_COLUMNS = 4
_DIRECTIONS = 16  # of 22.5 degrees, the first around 0: moves to eight sides hit their middles


@large_print
def plot_fixation_maps(
    maps: Mapping[str, NDArray[np.float64]],
    path: _PATH,
    *,
    behind: Mapping[str, NDArray] | None = None,
    label: str = "share of the fixations",
    blur: float = 1.0,
    aspect: float = 1.0,
) -> Path:
    """Plot maps of the gaze, the first one large, all on one scale of colours.

    The scale is of square roots, so that what is looked at rarely is seen too.

    :param maps: by name, (bins, bins) each, as of ``gaze_statistics.fixation_map`` or
        ``area_seen``; the map of all images first, then for example those of the classes
    :param behind: pictures to show faintly under the maps of these names, such as the mean images:
        (H, W), (H, W, 1) or (H, W, 3); shown in greys from the least to the largest value
    :param label: what the maps hold, for the scale
    :param blur: standard deviation in bins of a Gaussian that the maps are smoothed with, so that
        places that few bins hold can be seen; sums stay. 0 shows the maps as they are
    :param aspect: height / width of the images
    :raises ValueError: no map, or one that is not square or holds negative values
    """
    wrong = {
        name: values.shape
        for name, values in maps.items()
        if values.ndim != 2 or values.shape[0] != values.shape[1] or not (values >= 0).all()
    }
    if wrong or not maps:
        raise ValueError(
            f"got {len(maps)} maps, of these shapes {wrong} were refused; wanted at least one, "
            "(bins, bins) each with values from 0"
        )
    others = len(maps) - 1
    below = -(-max(0, others - 4) // _COLUMNS)  # rows under the large map, which has four beside it
    n_rows = 2 + below
    cell = WIDTH / _COLUMNS
    figure = new_figure((cell * aspect + 0.3) * n_rows + 0.9)
    grid = figure.add_gridspec(n_rows, _COLUMNS if others else 2)
    places = [grid[:2, :2]]
    places += [grid[row, column] for row in (0, 1) for column in (2, 3)] if others else []
    places += [grid[2 + row, column] for row in range(below) for column in range(_COLUMNS)]
    maps = {name: gaussian_filter(values, blur) for name, values in maps.items()}
    largest = max(float(values.max()) for values in maps.values()) or 1.0
    scale = ScalarMappable(PowerNorm(0.5, 0.0, largest), _veil())
    drawn = []
    for place, (name, values) in zip(places, maps.items(), strict=False):
        axes = figure.add_subplot(place)
        _background(axes, (behind or {}).get(name))
        axes.imshow(
            values,
            cmap=scale.cmap,
            norm=scale.norm,
            extent=(0, 1, 1, 0),
            interpolation="bilinear" if blur else "nearest",
        )
        axes.set(title=name, xticks=[], yticks=[], aspect=aspect)
        axes.set_anchor("N")
        axes.spines[:].set_color("#BBBBBB")
        drawn.append(axes)
    bar = figure.colorbar(
        scale, ax=drawn, location="bottom", label=label, shrink=0.8, aspect=40, pad=0.02
    )
    bar.locator = few_ticks(5)
    bar.update_ticks()
    bar.ax.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    bar.outline.set_color("#BBBBBB")
    return save(figure, path)


@large_print
def plot_saccades(saccades: Saccades, path: _PATH) -> Path:
    """Plot how far and in which directions the gaze moves from glimpse to glimpse."""
    amplitude = saccades.amplitude
    moved = amplitude > 0
    figure = new_figure(4.2)
    left = figure.add_subplot(1, 2, 1)
    share = 1.0 / max(1, len(amplitude))
    left.hist(
        amplitude[moved], bins=24, range=(0, amplitude.max() if moved.any() else 1), color=BLUE,
        weights=np.full(moved.sum(), share),
    )  # fmt: skip
    left.set(xlabel="amplitude (image widths)", ylabel="saccades", xlim=(0, None))
    left.yaxis.set_major_formatter(Percents())
    finish(left, moved.any(), "the gaze never moves")
    still = 1 - moved.sum() * share if len(amplitude) else 0.0
    left.set_title(f"{len(amplitude)} saccades,\n{still:.0%} stay in place")

    polar = figure.add_subplot(1, 2, 2, projection="polar")
    wide = 2 * np.pi / _DIRECTIONS
    towards = np.round(saccades.direction[moved] / wide).astype(np.int64) % _DIRECTIONS
    shares = np.bincount(towards, minlength=_DIRECTIONS) / max(1, moved.sum())
    polar.bar(np.arange(_DIRECTIONS) * wide, shares, 0.92 * wide, color=BLUE)
    polar.set_xticks(np.arange(4) * np.pi / 2, ["right", "up", "left", "down"])
    polar.yaxis.set_major_locator(few_ticks(3))
    polar.yaxis.set_major_formatter(Percents())
    polar.set_rlabel_position(67.5)
    polar.grid(color="#DDDDDD", linewidth=0.8)
    polar.set_axisbelow(True)
    polar.spines["polar"].set_color("#BBBBBB")
    polar.set_title("directions of those that move", pad=20)
    return save(figure, path)


def _veil() -> ListedColormap:
    """Return colours from clear over yellow to dark red, that let through what is behind."""
    colours = matplotlib.colormaps["YlOrRd"](np.linspace(0.15, 1.0, 256))
    colours[:, 3] = np.linspace(0.0, 1.0, 256) ** 0.5 * 0.95
    return ListedColormap(colours)


def _background(axes: Axes, picture: NDArray | None) -> None:
    if picture is None:
        return
    shown = np.asarray(picture, np.float64)
    shown = shown.mean(axis=2) if shown.ndim == 3 else shown
    shown = (shown - shown.min()) / max(float(np.ptp(shown)), 1e-9)  # mean images are pale
    axes.imshow(0.7 + 0.3 * shown, cmap="gray", vmin=0, vmax=1, extent=(0, 1, 1, 0))
