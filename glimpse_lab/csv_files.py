"""Tables as CSV that a spreadsheet shows and does not run.

The rule: a text that begins with ``=``, ``+``, ``-``, ``@`` (or their wide forms, or after blanks),
a tab or a line break gets an apostrophe before it, by which spreadsheets know a text. Numbers stay
numbers, ``-0.5`` too.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any, TextIO

_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")  # noqa: RUF001  # the wide forms are meant
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|nan)")


def safe_cell(value: Any) -> Any:
    """Return what stands in a cell for a value."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = str(value)
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return value


def write_rows(file: TextIO, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows, the header among them.

    :param file: opened with ``newline=""``
    :param rows: of numbers and texts
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([safe_cell(value) for value in row] for row in rows)
