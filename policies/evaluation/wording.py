"""What a page says about a result: sentences, numbers and captions, all in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from glimpse_envs.evaluation import wilson_interval

#: what `write_page` needs of a result
NEEDED = (
    "env", "dataset", "split", "n_images", "accuracy", "accuracy_ci95", "mean_glimpses",
    "mean_samples", "sample_fraction",
)  # fmt: skip

#: the sections of a page: heading by anchor
SECTIONS = {
    "good": "How good, for how many samples?",
    "baselines": "Better than what?",
    "gaze": "Where does it look?",
    "fails": "When does it fail?",
    "learning": "How did it learn?",
    "measured": "How was it measured?",
}


class Caption(NamedTuple):
    """Where a figure stands, and how to read it."""

    section: str
    title: str
    text: str


#: by the figure's key, in the order of the page
FIGURES = {
    "accuracy_samples": Caption(
        "good",
        "Accuracy and samples",
        "Up is better, left is cheaper: the share of right answers against the sensor pixels read "
        "per image. A curve above another one is right more often for the same samples.",
    ),
    "accuracy_coverage": Caption(
        "good",
        "Accuracy and area seen",
        "The share of right answers against the part of the image's area that the windows covered, "
        "however coarsely. An overview covers all of it at once, with few samples.",
    ),
    "by_glimpse": Caption(
        "good",
        "After each glimpse",
        "What another glimpse is worth: an accuracy that goes on rising tells that looking again "
        "still helps. Below it, with a classifier, how unsure it still is, and how far its belief "
        "is from how often it is right; lower is better.",
    ),
    "budgets": Caption(
        "good",
        "Other budgets",
        "The same agent, without further training, where it may take fewer or more glimpses.",
    ),
    "stopping": Caption(
        "good",
        "When it stops",
        "How many images were answered after so many glimpses, and how many of these rightly. An "
        "agent that knows when it knows stops early where it is right.",
    ),
    "comparison": Caption(
        "baselines",
        "Beside other runs",
        "The same images, shown to several agents or gazes. Bars are 95 % intervals over images.",
    ),
    "fixation_maps": Caption(
        "gaze",
        "Where the glimpses lie",
        "The stronger the colour of a place, the more glimpses had their middle there. One strong "
        "spot, the same for all classes, would mean that the gaze does not heed the image.",
    ),
    "saccades": Caption(
        "gaze",
        "Jumps of the gaze",
        "How far and in which direction the gaze moves from one glimpse to the next, and whether "
        "it zooms in or out.",
    ),
    "risk_coverage": Caption(
        "fails",
        "Errors among the surest",
        "If only the surest part of the images is answered, so large is the share of errors in it. "
        "The lower on the left, the better the belief tells right from wrong; an oracle would put "
        "all right answers first.",
    ),
    "reliability": Caption(
        "fails",
        "Is it as right as it is sure?",
        "The belief in the answer against the share of right answers. On the diagonal both agree; "
        "below it the belief is too sure of itself.",
    ),
    "confusion": Caption(
        "fails",
        "What is mistaken for what",
        "Rows are true classes, columns answers. The diagonal is right; a dark cell beside it is "
        "a frequent mistake.",
    ),
    "per_class": Caption(
        "fails", "By class", "Which classes are hard, and how many glimpses they take."
    ),
    "robustness": Caption(
        "fails",
        "Changed images",
        "Accuracy on images that were disturbed, the more the further to the right. The agent "
        "never trained on such images.",
    ),
    "learning_curve": Caption(
        "learning",
        "Learning",
        "Accuracy and glimpses per image while it trained. A curve that still rises at its end "
        "would gain by longer training.",
    ),
}


class Tile(NamedTuple):
    """One number of the headline."""

    value: str
    label: str
    detail: str


class Row(NamedTuple):
    """A line of the table of baselines; a dash where something was not measured.

    :param best: the baseline that the headline names
    :param peeks: it reads what it did not look at, and stands out of competition
    """

    name: str
    agent: bool
    accuracy: str
    interval: str
    equal: str
    glimpses: str
    samples: str
    share: str
    notes: tuple[str, ...]
    best: bool = False
    peeks: bool = False


class Rival(NamedTuple):
    """The best baseline at equal looks.

    :param accuracy: its own, 0 to 1, at the agent's number of glimpses or with more of them
    :param how: at which number of glimpses, in words
    """

    name: str
    accuracy: float
    how: str


DASH = "\N{EN DASH}"
_NBSP = "\N{NO-BREAK SPACE}"


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share, 0.819 as 81.9 %; a dash for None."""
    return DASH if share is None else f"{100 * share:.{digits}f}{_NBSP}%"


def span(interval: Sequence[float] | None) -> str:
    """Write an interval of shares, [0.776, 0.855] as 77.6 to 85.5 %; a dash for None."""
    return DASH if interval is None else f"{100 * interval[0]:.1f} to {percent(interval[1])}"


def number(value: float | None, digits: int = 1) -> str:
    """Write a number with thousands apart; a dash for None."""
    return DASH if value is None else f"{value:,.{digits}f}"


def at_equal_looks(baseline: Mapping[str, Any], glimpses: float) -> tuple[float, str] | None:
    """
    Return a baseline's accuracy with as many glimpses as the agent takes, and how it was found.

    A baseline that always uses its budget and has an answer after every glimpse is read off between
    the two whole numbers of glimpses, as if it took one or the other by chance. One that stops by
    itself counts with what it has if it took as many glimpses or more (to within 0.05).

    :param baseline: its metrics
    :param glimpses: the agent's mean number
    :return: None where the baseline took fewer glimpses, or did not tell
    """
    taken, curve = baseline.get("mean_glimpses"), baseline.get("accuracy_by_glimpse")
    if taken is None:
        return None
    # whoever stops by itself, and never before the budget's end, has no right answer before
    if curve and abs(taken - len(curve)) < 1e-6 and curve[0] > 0 and glimpses <= len(curve):
        whole = int(glimpses)
        low, high = curve[max(whole, 1) - 1], curve[min(whole, len(curve) - 1)]
        return low + (glimpses - whole) * (high - low), f"read off at {number(glimpses)} glimpses"
    if taken >= glimpses - 0.05:
        return baseline["accuracy"], f"with {number(taken)} glimpses"
    return None


def rival(result: Mapping[str, Any]) -> Rival | None:
    """Return the best baseline at equal looks that does not peek; None without one."""
    rivals = []
    for name, baseline in (result.get("baselines") or {}).items():
        found = at_equal_looks(baseline, result["mean_glimpses"])
        if found is not None and not _peeks(baseline):
            rivals.append(Rival(name, *found))
    return max(rivals, key=lambda rival: rival.accuracy, default=None)


def headline(result: Mapping[str, Any]) -> str:
    """Return the result in a few sentences."""
    budget = f" of at most {result['budget']}" if "budget" in result else ""
    text = (
        f"Each of {result['n_images']:,} {result['split']} images of {result['dataset']} was shown "
        f"once. The agent named the right class for {percent(result['accuracy'])} of them (95 % "
        f"interval {span(result['accuracy_ci95'])}), after {number(result['mean_glimpses'])} "
        f"glimpses on average{budget}: {number(result['mean_samples'], 0)} samples, as many as "
        f"{percent(result['sample_fraction'])} of the image's pixels."
    )
    best = rival(result)
    if best is None:
        return f"{text} No baseline with as many glimpses was measured."
    lead = result["accuracy"] - best.accuracy
    verdict = (
        f"the agent is right {100 * abs(lead):.1f} points {'more' if lead > 0 else 'less'} often"
    )
    overlap = _overlap(result, best.accuracy)
    caution = "; the 95 % intervals overlap, so this may be chance" if overlap else ""
    return (
        f"{text} The best baseline at equal looks, {best.name}, reaches "
        f"{percent(best.accuracy)} ({best.how}): {verdict}{caution}."
    )


def tiles(result: Mapping[str, Any]) -> list[Tile]:
    """Return the numbers of the headline."""
    budget = f"of at most {result['budget']}" if "budget" in result else "per image"
    best = rival(result)
    found = [
        Tile(percent(result["accuracy"]), "right answers", span(result["accuracy_ci95"])),
        Tile(number(result["mean_glimpses"]), "glimpses per image", budget),
        Tile(
            number(result["mean_samples"], 0),
            "samples per image",
            f"{percent(result['sample_fraction'])} of the pixels",
        ),
    ]
    if best is not None:
        lead = 100 * (result["accuracy"] - best.accuracy)
        found.append(
            Tile(
                f"{lead:+.1f}".replace("-", "\N{MINUS SIGN}"),
                "points beside the best baseline",
                f"{best.name}: {percent(best.accuracy)}",
            )
        )
    return found


def baseline_rows(result: Mapping[str, Any]) -> list[Row]:
    """Return the agent and its baselines, the best first; none without a baseline."""
    baselines = result.get("baselines") or {}
    if not baselines:
        return []
    best = rival(result)
    rows = [(result["accuracy"], _row("this agent", result, None, agent=True))]
    for name, baseline in baselines.items():
        found = at_equal_looks(baseline, result["mean_glimpses"])
        row = _row(name, baseline, None if found is None else found[0])
        row = row._replace(
            best=best is not None and name == best.name, peeks=_peeks(baseline)
        )
        rows.append((baseline["accuracy"], row))
    return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]


def _row(
    name: str, metrics: Mapping[str, Any], equal: float | None, *, agent: bool = False
) -> Row:
    interval = metrics.get("accuracy_ci95")
    reads = metrics.get("reads")
    return Row(
        name=name,
        agent=agent,
        accuracy=percent(metrics["accuracy"]),
        interval=span(interval),
        equal=percent(metrics["accuracy"] if agent else equal),
        glimpses=number(metrics.get("mean_glimpses")),
        samples=number(metrics.get("mean_samples"), 0),
        share=percent(metrics.get("sample_fraction")),
        notes=tuple(
            note
            for note in (metrics.get("note"), f"reads {reads}" if reads else None)
            if note and not agent
        ),
    )


def _peeks(baseline: Mapping[str, Any]) -> bool:
    return str(baseline.get("note") or "").lower().startswith("peeks")


def _overlap(result: Mapping[str, Any], accuracy: float) -> bool:
    """Whether the agent's interval and that of an accuracy on as many images overlap."""
    n = result["n_images"]
    low, high = wilson_interval(round(accuracy * n), n)
    own_low, own_high = result["accuracy_ci95"]
    return low <= own_high and own_low <= high
