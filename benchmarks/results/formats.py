"""How values are written in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; None is an empty cell."""
    lines = [_line(header), "|" + "---|" * len(header)]
    return "\n".join([*lines, *map(_line, rows)])


def percent(share: Decimal | None) -> str:
    """Return a share in percent, with the digits that it has; nothing for None."""
    return "" if share is None else f"{share.scaleb(2):f} %"


def with_interval(share: Decimal, interval: tuple[Decimal, Decimal] | None) -> str:
    """Return a share in percent, with its interval where there is one."""
    if interval is None:
        return percent(share)
    low, high = (f"{bound.scaleb(2):f}" for bound in interval)
    return f"{percent(share)} ({low} to {high})"


def code(text: str) -> str:
    """Return a text set as code."""
    return f"`{text}`"


def _line(cells: Sequence[Any]) -> str:
    shown = ("" if cell is None else str(cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(shown)} |"
