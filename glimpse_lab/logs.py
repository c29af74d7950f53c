"""The table of a training's progress, which a resumed run continues."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import CSVOutputFormat

from glimpse_envs.files import replacing
from glimpse_lab.csv_files import safe_cell, write_rows


class GrowingCSV(CSVOutputFormat):
    """SB3's CSV output, going on at the end of a file.

    :param file: made if it is missing
    :param upto: the rows of an earlier part up to so many timesteps are kept
    """

    def __init__(self, file: Path, upto: int) -> None:
        header, rows = _read_rows(file, upto)
        with replacing(file) as temporary, temporary.open("w", newline="") as kept:
            write_rows(kept, [header, *rows] if rows else [])
        self.file = file.open("r+")
        self.file.seek(0, io.SEEK_END)
        self.keys = header if rows else []
        self.separator = ","
        self.quotechar = '"'

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: dict[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Add a row; texts of a callback are made safe for spreadsheets."""
        shown = {safe_cell(key): safe_cell(value) for key, value in key_values.items()}
        super().write(shown, {safe_cell(key): why for key, why in key_excluded.items()}, step)


def _read_rows(file: Path, upto: int) -> tuple[list[str], list[list[str]]]:
    """Return header and whole rows of a progress file, up to so many timesteps."""
    if not file.exists():
        return [], []
    header, *rows = list(csv.reader(io.StringIO(file.read_text()))) or [[]]
    if "time/total_timesteps" not in header:
        return [], []
    column = header.index("time/total_timesteps")

    def timesteps(row: list[str]) -> float:
        try:
            return float(row[column])
        except ValueError:
            return np.inf

    return header, [row for row in rows if len(row) == len(header) and timesteps(row) <= upto]


def n_rows(file: Path) -> int:
    """Return how many rows a table has below its header; 0 if there is no such file."""
    return max(0, len(file.read_text().splitlines()) - 1) if file.exists() else 0
