"""What a page says about a result: sentences, numbers and captions, all in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

#: what ``write_page`` needs of a result
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
        "per image. Along a curve every image has to be answered after 1, 2, ... glimpses at the "
        "latest, by the class that the classifier then holds likeliest (without one, by the "
        "answers given so far). A diamond is the agent with another budget and its own answers. "
        "Oracle gazes read more than is shown.",
    ),
    "accuracy_coverage": Caption(
        "good",
        "Accuracy and area seen",
        "The same against the part of the image's area that the windows covered, however coarsely. "
        "An overview covers all of it at once, with few samples.",
    ),
    "by_glimpse": Caption(
        "good",
        "After each glimpse",
        "What another glimpse is worth: an accuracy that goes on rising tells that another glimpse "
        "still helps. Images that were answered earlier count with what stood then. Below it, with "
        "a classifier, how unsure it still is, and how far its belief is from how often it is "
        "right; lower is better.",
    ),
    "stopping": Caption(
        "good",
        "When it stops",
        "How many episodes ended after so many glimpses, and how many of these with the right "
        "answer. An agent that knows when it knows stops early where it is right.",
    ),
    "fixation_maps": Caption(
        "gaze",
        "Where the glimpses lie",
        "The stronger the colour of a place, the more glimpses had their middle there; the first "
        "one, which the environment takes, is left out. One strong spot, the same for all classes, "
        "would suggest that the gaze does not heed the image.",
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
        "The lower on the left, the better the belief (without a classifier, the number of "
        "glimpses) tells right from wrong; an oracle would put all right answers first.",
    ),
    "reliability": Caption(
        "fails",
        "Is it as right as it is sure?",
        "The classifier's final belief in the class that it holds likeliest, against the share of "
        "images where that class is right. On the diagonal both agree; below it the belief is too "
        "sure of itself.",
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
        "Disturbed images",
        "Accuracy on images that were disturbed, the more the further to the right, beside a "
        "classifier of the whole image (bands: 95 % intervals). Neither trained on such images.",
    ),
    "learning_curve": Caption(
        "learning",
        "Learning",
        "Accuracy and glimpses per image while it trained, on training images. A curve that still "
        "rises at its end may gain by longer training.",
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
    :param oracle: it reads what it did not look at, and stands out of competition
    """

    name: str
    agent: bool
    accuracy: str
    interval: str
    equal: str
    lead: str
    glimpses: str
    samples: str
    share: str
    notes: tuple[str, ...]
    best: bool = False
    oracle: bool = False


class Rival(NamedTuple):
    """The best baseline at a matched budget, see ``matched_budget.matched_budget``.

    :param accuracy: its own, 0 to 1
    :param glimpses: at which mean number
    :param lead: the agent's accuracy less that
    :param interval: of the lead, paired over the images; None if unknown
    """

    name: str
    accuracy: float
    glimpses: float
    lead: float
    interval: Sequence[float] | None


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


def rival(result: Mapping[str, Any]) -> Rival | None:
    """Return the best baseline at a matched budget that is no oracle; None without one."""
    rivals = [
        Rival(name, found["accuracy"], found["n_glimpses"], found["lead"], found["lead_ci95"])
        for name, baseline in (result.get("baselines") or {}).items()
        if (found := baseline.get("matched_budget")) and not _is_oracle(baseline)
    ]
    return max(rivals, key=lambda rival: rival.accuracy, default=None)


def points(share: float) -> str:
    """Write a difference of shares in points of percent with its sign, 0.056 as +5.6."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


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
        return f"{text} No baseline was measured beside it."
    lead = f"the agent's lead is {points(best.lead)} points"
    if best.interval is not None:
        low, high = best.interval
        lead += f" (95 % interval {points(low)} to {points(high)}, paired over the images)"
        lead += "; this may be chance" if low <= 0.0 <= high else ""
    return (
        f"{text} The best baseline at a matched budget, {best.name}, is right for "
        f"{percent(best.accuracy)} with {number(best.glimpses)} glimpses: {lead}."
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
        found.append(
            Tile(
                points(best.lead),
                "points ahead of the best baseline",
                f"at a matched budget; {best.name}: {percent(best.accuracy)}",
            )
        )
    return found


def baseline_rows(result: Mapping[str, Any]) -> list[Row]:
    """Return the agent and its baselines, the best first; none without a baseline."""
    baselines = result.get("baselines") or {}
    if not baselines:
        return []
    best = rival(result)
    rows = [(result["accuracy"], _row("this agent", result, agent=True))]
    for name, baseline in baselines.items():
        row = _row(name, baseline)
        row = row._replace(best=best is not None and name == best.name, oracle=_is_oracle(baseline))
        rows.append((baseline["accuracy"], row))
    return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]


def _row(name: str, metrics: Mapping[str, Any], *, agent: bool = False) -> Row:
    interval, reads = metrics.get("accuracy_ci95"), metrics.get("reads")
    equal = metrics.get("matched_budget") or {}
    return Row(
        name=name,
        agent=agent,
        accuracy=percent(metrics["accuracy"]),
        interval=span(interval),
        equal=percent(metrics["accuracy"] if agent else equal.get("accuracy")),
        lead=_lead(equal),
        glimpses=number(metrics.get("mean_glimpses")),
        samples=number(metrics.get("mean_samples"), 0),
        share=percent(metrics.get("sample_fraction")),
        notes=tuple(
            note
            for note in (metrics.get("note"), _reads(reads) if reads else None)
            if note and not agent
        ),
    )


def _lead(equal: Mapping[str, Any]) -> str:
    """Write the agent's lead in points and its interval; a dash where it is not known."""
    if not equal:
        return DASH
    interval = equal["lead_ci95"]
    bounds = "" if interval is None else f" ({points(interval[0])} to {points(interval[1])})"
    return f"{points(equal['lead'])}{bounds}"


def _reads(pixels: int) -> str:
    return f"reads {pixels:,} pixels per image beside its samples"


def _is_oracle(baseline: Mapping[str, Any]) -> bool:
    return str(baseline.get("note") or "").lower().startswith("oracle")
