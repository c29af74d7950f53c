"""The tables of the pages, in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from benchmarks.results import inverse
from benchmarks.results.columns import GAZES
from benchmarks.results.formats import code, percent, table, with_interval
from benchmarks.results.reading import Results
from benchmarks.results.rows import RunRow
from benchmarks.results.summaries import (
    SENSOR,
    Summary,
    mean_curve,
    over_seeds,
    scripted,
    summaries,
)

# ---- runs


def headline(results: Results) -> str:
    """One row a task: the best agent, beside the best scripted gaze with its own classifier."""
    best: dict[str, Summary] = {}
    for summary in summaries(results.runs("agents")):
        if summary.first.split != "test" or summary.first.eval_budget is not None:
            continue
        env = summary.first.env
        if env not in best or summary.accuracy > best[env].accuracy:
            best[env] = summary
    header = ("task", "learned gaze", "of the pixels", "best fixed gaze, equally trained")
    rows = [
        (
            code(env),
            _accuracy(summary),
            percent(summary.pixel_share),
            _rival(results, summary),
        )
        for env, summary in best.items()
    ]
    return table(header, rows)


def _rival(results: Results, summary: Summary) -> str:
    """Return the best of the equally trained gazes that are the same for every image.

    Of those that read as few pixels as the agent, or a twentieth more, where there are any.
    """
    gazes = scripted(results, summary)
    fixed = {name: over_seeds(rows) for name, rows in gazes.items() if name != "random"}
    if fixed:
        most = summary.pixel_share and summary.pixel_share * Decimal("1.05")
        shares = {name: gazes[name][0].pixel_share for name in fixed}
        few = [name for name, share in shares.items() if most and share and share <= most]
        name = max(few or fixed, key=lambda name: fixed[name][0])
        words, (share, interval) = GAZES[name], fixed[name]
    elif "random" in gazes:
        name, words = "random", "not measured; random"
        share, interval = over_seeds(gazes["random"])
    else:
        return "not measured"
    rows = gazes[name]
    pixels = rows[0].pixel_share
    told = [f"{words} {with_interval(share, interval)}"]
    if pixels is not None:
        told.append(f"{percent(pixels)} of the pixels")
    if len(rows) == 1 and len(summary.rows) > 1:
        told.append(f"seed {_row_of(summary, rows[0].run).seed}")
    return ", ".join(told)


def _row_of(summary: Summary, run: str) -> RunRow:
    return next(row for row in summary.rows if row.run == run)


def _accuracy(summary: Summary) -> str:
    shown = with_interval(summary.accuracy, summary.interval)
    if len(summary.rows) < 2:
        return shown
    each = ", ".join(f"{row.accuracy.scaleb(2):f}" for row in summary.rows)
    return f"{shown} over seeds: {each}"


def _name(summary: Summary) -> str:
    words = [code(summary.group)]
    if summary.first.split != "test":
        words.append(summary.first.split)
    if summary.first.eval_budget is not None:
        words.append(f"budget {summary.first.eval_budget}")
    return ", ".join(words)


def runs(name: str) -> Callable[[Results], str]:
    """Return what makes the table of accuracies of a file of runs."""

    def make(results: Results) -> str:
        header = ("run", "task", "accuracy", "glimpses", "samples", "of the pixels", "gaze drawn")
        return table(header, (_run_cells(each) for each in summaries(results.runs(name))))

    return make


def _run_cells(summary: Summary) -> tuple[Any, ...]:
    first, glimpses = summary.first, summary.mean_glimpses
    most = first.eval_budget or first.budget
    if glimpses is not None and most is not None:
        glimpses = f"{glimpses} of {most}"
    return (
        _name(summary),
        code(first.env),
        _accuracy(summary),
        glimpses,
        summary.mean_samples,
        percent(summary.pixel_share),
        percent(summary.random_gaze),
    )


def commands(name: str) -> Callable[[Results], str]:
    """Return what makes the table of commands of a file of runs."""

    def make(results: Results) -> str:
        header = ("run", "command", "commit", "seed", "minutes", "core minutes", "note")
        return table(header, map(_command_cells, results.runs(name)))

    return make


def _command_cells(row: RunRow) -> tuple[Any, ...]:
    return (
        code(row.run),
        code(row.command),
        row.commit,
        row.seed,
        row.wall_minutes,
        row.core_minutes,
        row.note,
    )


# ---- gazes


def gazes(results: Results) -> str:
    """Equally trained gazes beside the agents, and these with the agent's own classifier."""
    header = (
        "run", "gaze", "classifier", "accuracy", "glimpses", "of the pixels", "lead of the agent",
        "note",
    )  # fmt: skip
    rows = []
    for row in results.gazes:
        lead = None
        if row.lead is not None:
            low, high = (f"{bound.scaleb(2):f}" for bound in (row.lead_low, row.lead_high))
            lead = f"{row.lead.scaleb(2):f} points ({low} to {high})"
        interval = None if row.ci_low is None else (row.ci_low, row.ci_high)
        shown = with_interval(row.accuracy, interval)
        rows.append(
            (code(row.run), GAZES[row.gaze], row.classifier, shown, row.mean_glimpses,
             percent(row.pixel_share), lead, row.note)
        )  # fmt: skip
    return table(header, rows)


def by_glimpse(results: Results) -> str:
    """Accuracy after 1, 2, ... glimpses, in percent."""
    curves = results.curves
    longest = max(map(len, curves.values()))
    header = ("run", "gaze", *map(str, range(1, longest + 1)))
    return table(
        header,
        (
            (code(run), GAZES[gaze], *shown, *[None] * (longest - len(shown)))
            for (run, gaze), rows in curves.items()
            for shown in [[f"{row.accuracy.scaleb(2):f}" for row in rows]]
        ),
    )


def published(results: Results) -> str:
    """Errors beside those of the literature."""
    rows = results.tables["published"]
    sources = list(dict.fromkeys(row.source for row in rows))
    ours = {row.run: row for row in results.runs() if row.split == "test" and not row.eval_budget}
    lines = []
    for run in dict.fromkeys(row.run for row in rows):
        theirs = {row.source: row for row in rows if row.run == run}
        setting = next(iter(theirs.values())).setting
        errors = (percent(theirs[s].error) if s in theirs else None for s in sources)
        lines.append((code(run), setting, percent(1 - ours[run].accuracy), *errors))
    return table(("run", "setting", "error here", *sources), lines)


def sensors(results: Results) -> str:
    """Sensors of equal samples beside each other, accuracy after some numbers of glimpses."""
    found = [s for s in summaries(results.runs("variants")) if SENSOR in s.group]
    lines = []
    for summary in found:
        curve = mean_curve(results, summary)
        shown = [f"{100 * curve[n - 1]:.1f}" if n <= len(curve) else None for n in (1, 2, 3, 4)]
        size = summary.mean_samples / summary.mean_glimpses
        lines.append(
            (
                code(summary.first.env),
                summary.group.partition(SENSOR)[2],
                f"{size:.0f}",
                *shown,
                _accuracy(summary),
                percent(summary.random_gaze),
            )
        )
    header = ("task", "sensor", "samples", "after 1", "2", "3", "4", "all", "random gaze")
    return table(header, lines)


# ---- the saccader report, disturbed images, and the rest


def saccader(results: Results) -> str:
    """The rewards of the saccader report, train/test accuracy in percent."""
    lines = []
    rows = results.tables["saccader"]
    kinds = list(dict.fromkeys(row.classifier for row in rows))
    for key in dict.fromkeys((row.reward, row.gamma, row.learning_rate) for row in rows):
        cells: list[Any] = list(key)
        for kind in kinds:
            row = next(
                (
                    r
                    for r in rows
                    if (r.reward, r.gamma, r.learning_rate, r.classifier) == (*key, kind)
                ),
                None,
            )
            cells += [None, None] if row is None else _saccader_cells(row)
        lines.append(cells)
    header = ["reward", "gamma", "learning rate"]
    for kind in kinds:
        header += [f"{kind}, train/test", "published"]
    return table(header, lines)


def _saccader_cells(row: Any) -> list[str | None]:
    low, high = row.test_low.scaleb(2), row.test_high.scaleb(2)
    theirs = None
    if row.published_test is not None:
        theirs = f"{row.published_train.scaleb(2):f}/{row.published_test.scaleb(2):f}"
    return [f"{row.train.scaleb(2):f}/{row.test.scaleb(2):f} ({low:f} to {high:f})", theirs]


def saccader_pairs(results: Results) -> str:
    """Differences between the rewards, in points."""
    header = ("question", "classifier", "better in", "lead, points", "mean, points", "note")
    lines = []
    for row in results.tables["saccader_pairs"]:
        better = None if row.n_pairs is None else f"{row.n_better} of {row.n_pairs} pairs"
        lead = None
        if row.lead_low is not None:
            lead = f"{row.lead_low.scaleb(2):f} to {row.lead_high.scaleb(2):f}"
        mean = None if row.mean is None else f"{row.mean.scaleb(2):f}"
        lines.append((row.question, row.classifier, better, lead, mean, row.note))
    return table(header, lines)


def robustness(results: Results) -> str:
    """Accuracy on disturbed images."""
    return table(
        ("run", "shown", "agent", "whole image", "agent's glimpses"),
        (
            (
                code(row.run),
                " ".join(str(p) for p in (row.kind, row.strength, row.unit) if p is not None),
                with_interval(row.agent, (row.agent_low, row.agent_high)),
                with_interval(row.full_image, (row.full_image_low, row.full_image_high)),
                row.agent_glimpses,
            )
            for row in results.tables["robustness"]
        ),
    )


def memory(results: Results) -> str:
    """Memories on the task of recalling."""
    lines = []
    for row in results.tables["memory"]:
        bounds = []
        if row.accuracy_over is not None:
            bounds.append(f"over {percent(row.accuracy_over)}")
        if row.accuracy_under is not None:
            bounds.append(f"under {percent(row.accuracy_under)}")
        steps = None if row.timesteps is None else f"{row.timesteps:,}"
        lines.append((row.memory, " and ".join(bounds), steps, row.seconds, row.n_seeds))
    return table(("memory", "accuracy", "timesteps", "seconds", "seeds"), lines)


def other_statistics(results: Results) -> str:
    """Numbers that no other table has."""
    header = ("of", "what", "at", "value", "commit", "note")
    return table(
        header,
        (
            (
                code(row.subject),
                row.statistic,
                row.at,
                f"{row.value:,} {row.unit}",
                row.commit,
                row.note,
            )
            for row in results.tables["statistics"]
        ),
    )


#: what stands between the markers of a page, by the name in the marker
BLOCKS: dict[str, Callable[[Results], str]] = {
    "headline": headline,
    **{
        name: make
        for table_name in ("agents", "variants", "reward_alone", "history")
        for name, make in (
            (table_name.replace("_", "-"), runs(table_name)),
            (f"{table_name.replace('_', '-')}-commands", commands(table_name)),
        )
    },
    "gazes": gazes,
    "by-glimpse": by_glimpse,
    "published": published,
    "sensors": sensors,
    "saccader": saccader,
    "saccader-pairs": saccader_pairs,
    "robustness": robustness,
    "memory": memory,
    "statistics": other_statistics,
    "inverse": inverse.summary,
    "inverse-errors": inverse.errors,
    "inverse-commands": inverse.commands,
}
