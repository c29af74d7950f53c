"""Texts of users in tables: shown by a spreadsheet, not run."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glimpse_lab.csv_files import safe_cell, write_rows
from glimpse_lab.logs import GrowingCSV

RUN = [
    *("=cmd|' /C calc'!A0", "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"),
    *(" =1", "＝1", "＋1", "－1", "＠x", "-", "=", "+x", "-2-3", "--5", "+1_0"),  # noqa: RUF001
]
SHOWN = ["cat", "a=b", "x-1", "", "1", "-1", "-0.5", "+2", "1e-3", "-1.5E+10", "-inf", "nan", "é"]


@pytest.mark.parametrize("text", RUN)
def test_a_formula_becomes_a_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}" == safe_cell(np.str_(text))


NUMBERS = [1, -1, -0.5, None, True, np.float32(-0.25), np.int64(-3)]


@pytest.mark.parametrize("value", [*SHOWN, *NUMBERS])
def test_numbers_and_other_texts_stay(value: Any) -> None:
    assert safe_cell(value) is value


def test_rows_come_back(tmp_path: Path) -> None:
    file = io.StringIO()
    write_rows(file, [["=name", "score"], ['a,b"c', -0.5], ["@x", 3], [None, float("nan")]])
    rows = list(csv.reader(io.StringIO(file.getvalue())))
    assert rows == [["'=name", "score"], ['a,b"c', "-0.5"], ["'@x", "3"], ["", "nan"]]


def test_texts_that_a_callback_logs_are_safe_too_also_after_a_resume(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"
    table = GrowingCSV(file, 0)
    table.write({"time/total_timesteps": 8, "=key": "=1+1", "x": -0.5}, {"=key": (), "x": ()})
    table.close()
    table = GrowingCSV(file, 8)
    table.write({"time/total_timesteps": 16, "=key": "@2", "x": -1}, {})
    table.close()
    rows = list(csv.DictReader(file.open()))
    assert [row["'=key"] for row in rows] == ["'=1+1", "'@2"]
    assert [row["x"] for row in rows] == ["-0.5", "-1"]
    assert set(rows[0]) == {"time/total_timesteps", "'=key", "x"}
