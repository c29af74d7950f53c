"""Numbers as the pages write them: the filters of the templates."""

from __future__ import annotations

from collections.abc import Sequence

DASH = "\N{EN DASH}"
_NBSP = "\N{NO-BREAK SPACE}"


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share, 0.819 as 81.9 %; a dash for None."""
    return DASH if share is None else f"{100 * share:.{digits}f}{_NBSP}%"


def span(interval: Sequence[float] | None) -> str:
    """Write an interval of shares, (0.776, 0.855) as 77.6 to 85.5 %; a dash for None."""
    return DASH if interval is None else f"{100 * interval[0]:.1f} to {percent(interval[1])}"


def number(value: float | None, digits: int = 1) -> str:
    """Write a number with thousands apart; a dash for None."""
    return DASH if value is None else f"{value:,.{digits}f}"


def points(share: float) -> str:
    """Write a difference of shares in points of percent with its sign, 0.056 as +5.6."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


FILTERS = {"percent": percent, "span": span, "number": number, "points": points}
