"""A comparison as tables to read, files to analyse, and a picture."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from glimpse_envs.files import replacing
from glimpse_lab.comparison.compare import Comparison, Group, GroupPair, Pair, Row
from glimpse_lab.csv_files import write_rows
from glimpse_lab.evaluation.significance import Estimate
from glimpse_lab.plots.style import BLUE, GREEN, ORANGE, PINK, SKY, YELLOW, save

_COLOURS = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, "#000000")  # of each group in turn
_MARKERS = "osD^vPX"
_MOST_NAMED = 10  # groups in the legend
_LONGEST = 36  # characters of a setting

_ROWS = """\
Accuracy with its 95 % (Wilson) interval over images; intervals of two runs may overlap though the
runs differ on the same images (below). Samples are sensor pixels read for an image. Minutes are of
the run's own training; a classifier that was trained before and kept is not among them."""
_PAIRED = """\
The first run less the second, on the same images. p: McNemar's exact test for accuracy, the exact
randomisation test for glimpses; "Holm" is p adjusted for all pairs, each of the two apart.
Intervals: Newcombe's paired one for accuracy, bootstrap over images for glimpses, 95 % for each
pair by itself. All this says whether these two trained agents differ, not whether their settings
do: other seeds may turn it around."""
_SEEDS = """\
Means over seeds with Student's t interval: n is the number of seeds, not of images."""
_SEED_PAIRS = """\
The first group less the second, over their seeds (Welch's test; "Holm" is p adjusted for all pairs
of groups)."""


def comparison_table(result: Comparison) -> str:
    """Return the comparison in Markdown, aligned for the terminal too."""
    parts = [_runs(result.rows), _ROWS]
    if settings := _settings(result.groups):
        parts += ["Settings that differ, by group:", settings]
    if any(len(group.seeds) > 1 for group in result.groups):
        parts += [_SEEDS, _groups(result.groups)]
        if result.group_pairs:
            parts += [_SEED_PAIRS, _group_pairs(result.group_pairs)]
    else:
        parts.append(
            "One seed for each setting: nothing here says how much of a difference is due to the "
            "seed."
        )
    if result.pairs:
        numbers = {row.name: str(row.number) for row in result.rows}
        parts += [_PAIRED, _pairs(result.pairs, numbers)]
    parts.append("\n".join(f"- {note}" for note in result.notes))
    return "\n\n".join(parts)


def write_comparison(result: Comparison, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``comparison.md``, ``.csv``, ``.json`` and ``.png``.

    The ``.csv`` has one row for each run, the ``.json`` everything.

    Each appears only when it is whole.

    :param folder: made if it is missing
    :return: the paths of the files
    """
    folder = Path(folder)
    text = f"# Comparison of {len(result.rows)} runs\n\n{comparison_table(result)}\n"
    contents = {
        "comparison.md": text + "\n![accuracy against mean samples](comparison.png)\n",
        "comparison.csv": _csv(result.rows),
        "comparison.json": json.dumps(asdict(result), indent=2, allow_nan=False) + "\n",
    }
    for name, content in contents.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8", errors="replace")
    return [*(folder / name for name in contents), plot_comparison(result, folder)]


def plot_comparison(result: Comparison, folder: str | os.PathLike[str]) -> Path:
    """Plot accuracy, with its 95 % (Wilson) interval, against mean samples into ``comparison.png``.

    One marker is a run, with its number; runs of a group share colour and marker and are joined to
    their mean.

    :param folder: made if it is missing
    :return: the path of the file
    """
    named = result.groups[:_MOST_NAMED]
    figure = Figure(figsize=(5.4, 4.8 + 0.26 * len(named)), dpi=180, layout="constrained")
    axes = figure.subplots()
    for i, group in enumerate(result.groups):
        rows = [row for row in result.rows if row.group == group.name]
        _draw_group(axes, group, rows, i, _label(group, rows) if group in named else None)
    axes.set_xlabel("mean samples per image (sensor pixels read)", fontsize=12)
    axes.set_ylabel("accuracy, %  (95 % interval over images)", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.margins(0.12)
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    more = len(result.groups) > len(named)
    figure.legend(
        title="the others by their numbers in comparison.md" if more else None,
        loc="outside lower center", fontsize=11, frameon=False,
    )  # fmt: skip
    return save(figure, Path(folder) / "comparison.png")


def _draw_group(axes: Axes, group: Group, rows: Sequence[Row], i: int, label: str | None) -> None:
    style = {
        "color": _COLOURS[i % len(_COLOURS)],
        "marker": _MARKERS[(i + i // len(_COLOURS)) % len(_MARKERS)],
    }
    middle = group.mean_samples.value, 100 * group.accuracy.value
    halo = [withStroke(linewidth=3, foreground="white")]
    for row in rows:
        x, y = row.mean_samples, 100 * row.accuracy
        low, high = (100 * bound for bound in row.accuracy_ci95)
        axes.plot(*zip(middle, (x, y), strict=True), color=style["color"], alpha=0.5)
        axes.errorbar(
            x, y, [[y - low], [high - y]], capsize=4, markersize=8, elinewidth=1.6,
            label=label, **style,
        )  # fmt: skip
        axes.annotate(
            str(row.number), (x, y), xytext=(6, 5), textcoords="offset points", fontsize=11,
            path_effects=halo, zorder=5,
        )  # fmt: skip
        label = None  # once for each group


def _label(group: Group, rows: Sequence[Row]) -> str:
    if len(rows) == 1:
        return f"{rows[0].number}: {rows[0].name}"
    numbers = ", ".join(str(row.number) for row in rows[:5])
    more = ", ..." if len(rows) > 5 else ""
    return f"{numbers}{more}: group {group.name}, {group.env}"


def _runs(rows: Sequence[Row]) -> str:
    columns: dict[str, Callable[[Row], str]] = {
        "#": lambda r: str(r.number),
        "run": lambda r: r.name,
        "group": lambda r: r.group,
        "seed": lambda r: str(r.seed),
        "accuracy % (95 %)": lambda r: _interval(Estimate(r.accuracy, *r.accuracy_ci95), 100, 2),
        "glimpses": lambda r: f"{r.mean_glimpses:.2f}",
        "samples": lambda r: f"{r.mean_samples:.0f}",
        "of pixels %": lambda r: f"{100 * r.sample_fraction:.1f}",
        "area seen %": lambda r: f"{100 * r.coverage:.0f}",
        "accuracy % / 100 samples": lambda r: f"{1e4 * r.accuracy_per_sample:.1f}",
        "minutes": lambda r: "?" if r.minutes is None else f"{r.minutes:.0f}",
    }
    return _markdown(columns, rows)


def _settings(groups: Sequence[Group]) -> str:
    names = list(dict.fromkeys(name for group in groups for name in group.settings))
    if not names:
        return ""
    columns: dict[str, Callable[[str], str]] = {"setting": lambda name: f"`{_plain(name)}`"}
    for group in groups:
        columns[group.name] = lambda name, group=group: (
            _short(group.settings[name]) if name in group.settings else "-"
        )
    return _markdown(columns, names)


def _groups(groups: Sequence[Group]) -> str:
    columns: dict[str, Callable[[Group], str]] = {
        "group": lambda g: g.name,
        "environment": lambda g: g.env,
        "n seeds": lambda g: str(len(g.seeds)),
        "accuracy % (95 %)": lambda g: _interval(g.accuracy, 100, 2),
        "glimpses (95 %)": lambda g: _interval(g.mean_glimpses, 1, 2),
        "samples (95 %)": lambda g: _interval(g.mean_samples, 1, 0),
    }
    return _markdown(columns, groups)


def _pairs(pairs: Sequence[Pair], numbers: dict[str, str]) -> str:
    columns: dict[str, Callable[[Pair], str]] = {
        "runs": lambda p: f"{numbers[p.first]} - {numbers[p.second]}",
        "accuracy, points (95 %)": lambda p: _interval(p.accuracy, 100, 2, "+"),
        "only 1st right": lambda p: str(p.only_first),
        "only 2nd right": lambda p: str(p.only_second),
        "p": lambda p: _p(p.p_accuracy),
        "Holm": lambda p: _p(p.holm_accuracy),
        "glimpses (95 %)": lambda p: _interval(p.glimpses, 1, 2, "+"),
        "p glimpses": lambda p: _p(p.p_glimpses),
        "Holm glimpses": lambda p: _p(p.holm_glimpses),
    }
    return _markdown(columns, pairs)


def _group_pairs(pairs: Sequence[GroupPair]) -> str:
    columns: dict[str, Callable[[GroupPair], str]] = {
        "groups": lambda p: f"{p.first} - {p.second}",
        "n seeds": lambda p: f"{p.n_first}, {p.n_second}",
        "accuracy, points (95 %)": lambda p: _interval(p.accuracy, 100, 2, "+"),
        "p": lambda p: _p(p.p_accuracy),
        "Holm": lambda p: _p(p.holm_accuracy),
    }
    return _markdown(columns, pairs)


def _interval(estimate: Estimate, factor: float, digits: int, sign: str = "") -> str:
    form = f"{sign}.{digits}f"
    value = f"{factor * estimate.value:{form}}"
    if estimate.low is None or estimate.high is None:
        return f"{value} (no interval)"
    return f"{value} ({factor * estimate.low:{form}} to {factor * estimate.high:{form}})"


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _short(value: Any) -> str:
    text = _plain(str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _plain(text: str) -> str:
    return text.replace("|", "/")  # which would end the cell


def _markdown(columns: dict[str, Callable[[Any], str]], rows: Sequence[Any]) -> str:
    cells = [list(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def _csv(rows: Sequence[Row]) -> str:
    names = [field.name for field in fields(Row)]
    i = names.index("accuracy_ci95")
    file = io.StringIO()
    table = [[*names[:i], "accuracy_low", "accuracy_high", *names[i + 1 :]]]
    for row in rows:
        values = [getattr(row, name) for name in names]
        table.append([*values[:i], *row.accuracy_ci95, *values[i + 1 :]])
    write_rows(file, table)
    return file.getvalue()
