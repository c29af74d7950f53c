"""What a group of runs shows together: means over seeds, and accuracy against what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glimpse_envs.files import replacing
from glimpse_lab.csv_files import write_rows
from glimpse_lab.dotted import last_name
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.significance import student_mean
from glimpse_lab.plots.search import plot_frontier
from glimpse_lab.report.verdict import verdict
from glimpse_lab.runs import Run
from glimpse_lab.sweeps.changes import Change
from glimpse_lab.sweeps.groups import result_of
from glimpse_lab.sweeps.measures import ALL, OF_FOLLOWING, OF_GLIMPSES, Result, measures_of, value


def over_seeds(results: Mapping[int, Result]) -> dict[str, Any]:
    """Return what ``seeds.json`` holds.

    Each seed's measures, and of each measure the mean, standard deviation and 95 % interval over
    seeds (None for a single one).

    :param results: the evaluation of each seed
    :raises ValueError: for no result, or results of different environments or splits
    """
    if not results:
        raise ValueError("got no finished run to average over; wanted at least one")
    about = ("env", "dataset", "split", "n_images")
    kinds = [{key: getattr(result, key) for key in about} for result in results.values()]
    if any(kind != kinds[0] for kind in kinds):
        raise ValueError(f"got results of {kinds}; wanted all of the same environment and split")
    summary: dict[str, Any] = {**kinds[0], "n_seeds": len(results), "seeds": sorted(results)}
    names, shares, _ = measures_of(next(iter(results.values())))
    for name in names:
        values = [float(value(results[seed], name)) for seed in sorted(results)]
        found = student_mean(values)
        interval = None if found.low is None else [found.low, found.high]
        if interval is not None and name in shares:  # no true mean lies beyond
            interval = [max(0.0, interval[0]), min(1.0, interval[1])]
        summary[name] = {
            "mean": found.value,
            "std": None if interval is None else float(np.std(values, ddof=1)),
            "ci95": interval,
        }
    summary["interval"] = "95 %, Student's t over seeds"
    summary["runs"] = {
        f"seed{seed}": {
            **{name: value(results[seed], name) for name in names},
            "timesteps": results[seed].timesteps,
        }
        for seed in sorted(results)
    }
    if len(results) == 1:  # nothing is known about other seeds: that of the images
        (result,) = results.values()
        summary[names[0]]["ci95"] = list(value(result, f"{names[0]}_ci95"))
        name = "Student's t" if names is OF_FOLLOWING.names else "Wilson"
        summary["interval"] = f"95 %, {name} over images (a single seed: seeds may differ by more)"
    return summary


def seeds_table(summary: Mapping[str, Any]) -> str:
    """Return what ``over_seeds`` gave as lines to print."""
    measures = next(each for each in ALL if each.names[0] in summary)
    columns = measures.columns
    lines = [f"{'':8}" + "".join(f"{column.title:>12}" for column in columns)]
    for name, run in summary["runs"].items():
        lines.append(f"{name:8}" + "".join(column.cell(run[column.name]) for column in columns))
    if summary["n_seeds"] > 1:
        for title, key in (("mean", "mean"), ("from", 0), ("to", 1)):
            means = ((column, summary[column.name]) for column in columns)
            cells = (c.cell(m["mean"] if key == "mean" else m["ci95"][key]) for c, m in means)
            lines.append(f"{title:8}" + "".join(cells))
    n = summary["n_seeds"]
    lines.append(
        f"{_about(summary)}, {n} "
        + ("seeds; " if n > 1 else "seed; ")
        + (
            "from, to: 95 % interval of the mean over seeds (Student's t)"
            if n > 1
            else "more seeds give an interval"
        )
    )
    return "\n".join(lines)


def frontier_row(change: Change, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return one value of a sweep as a flat row: means, and bounds where they are known."""
    row: dict[str, Any] = {
        "setting": change.setting,
        "value": change.value,
        "n_seeds": summary["n_seeds"],
    }
    for name in OF_GLIMPSES.names:
        low, high = summary[name]["ci95"] or (None, None)
        row |= {name: summary[name]["mean"], f"{name}_low": low, f"{name}_high": high}
    return {**row, "interval": summary["interval"]}


def frontier_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows of a frontier as lines to print."""
    setting = last_name(str(rows[0]["setting"]))
    width = max(len(setting), *(len(str(row["value"])) for row in rows)) + 2
    head = f"{setting:{width}}{'accuracy':>10}{'95 % interval':>20}{'glimpses':>10}{'samples':>10}"
    lines = [head + f"{'seeds':>7}"]
    for row in rows:
        bounds = f"{100 * row['accuracy_low']:.2f} to {100 * row['accuracy_high']:.2f}"
        lines.append(
            f"{row['value']!s:{width}}{100 * row['accuracy']:>8.2f} %{bounds:>20}"
            f"{row['mean_glimpses']:>10.2f}{row['mean_samples']:>10.1f}{row['n_seeds']:>7}"
        )
    kinds = dict.fromkeys(row["interval"] for row in rows)
    return "\n".join([*lines, *(f"interval: {kind}" for kind in kinds)])


def report_seeds(folder: Path, runs: Mapping[int, Run]) -> dict[str, Any] | None:
    """Write ``seeds.json`` of the runs that are finished, and print it as a table.

    :param folder: of the runs
    :param runs: by their seeds
    :return: what ``over_seeds`` gives; None if no run is finished
    """
    results = {seed: result_of(run) for seed, run in runs.items()}
    finished = {seed: result for seed, result in results.items() if result is not None}
    if not finished:
        return None
    summary = over_seeds(finished)
    if unfinished := sorted(results.keys() - finished.keys()):
        summary["unfinished"] = unfinished
    file = write_seeds(folder, summary)
    told = [
        f"seed{seed}: {verdict(result)}"
        for seed, result in sorted(finished.items())
        if isinstance(result, Evaluation)
    ]
    print("\n".join(["", seeds_table(summary), *told, f"written: {file}"]))
    return summary


def report_group(folder: Path, groups: Mapping[Change | None, Mapping[int, Run]]) -> None:
    """Write and print what a group of runs shows.

    ``seeds.json``, and of a sweep one for each value and ``frontier.json``, ``.csv`` and ``.png``.

    :param folder: of the group
    :param groups: the runs by change, or None without a sweep, and seed
    """
    rows = []
    for change, runs in groups.items():
        summary = report_seeds(folder if change is None else folder / change.label, runs)
        if summary is not None and change is not None:
            rows.append(frontier_row(change, summary))
            about = _about(summary)
    if rows:
        files = write_frontier(folder, rows)
        files.append(plot_frontier(rows, folder / "frontier.png", title=about))
        names = ", ".join(file.name for file in files)
        print(f"\n{frontier_table(rows)}\n{about}\nin {folder}: {names}")


def write_seeds(folder: Path, summary: Mapping[str, Any]) -> Path:
    """Write ``seeds.json`` into a folder; return the file."""
    return _write_json(folder / "seeds.json", summary)


def write_frontier(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write ``frontier.json`` and ``frontier.csv`` into a folder; return the files."""
    table = folder / "frontier.csv"
    with replacing(table) as temporary, temporary.open("w", newline="") as file:
        write_rows(file, [rows[0].keys(), *(row.values() for row in rows)])
    return [_write_json(folder / "frontier.json", {"rows": list(rows)}), table]


def _write_json(file: Path, content: Mapping[str, Any]) -> Path:
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    return file


def _about(summary: dict[str, Any]) -> str:
    """Return environment and data of runs in words."""
    source = "" if summary["dataset"] is None else f" of {summary['dataset']}"
    return f"{summary['env']}, {summary['split']} split{source}"
