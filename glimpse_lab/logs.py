"""The table of a training's progress, which a resumed run continues."""

import csv
import io
from pathlib import Path

import numpy as np
from stable_baselines3.common.logger import CSVOutputFormat

from glimpse_envs.files import replacing


class GrowingCSV(CSVOutputFormat):
    """SB3's CSV output, going on at the end of a file.

    :param file: made if it is missing
    :param upto: the rows of an earlier part up to so many timesteps are kept
    """

    def __init__(self, file: Path, upto: int) -> None:
        header, rows = _read_rows(file, upto)
        with replacing(file) as temporary, temporary.open("w") as kept:
            csv.writer(kept, lineterminator="\n").writerows([header, *rows] if rows else [])
        self.file = file.open("r+")
        self.file.seek(0, io.SEEK_END)
        self.keys = header if rows else []
        self.separator = ","
        self.quotechar = '"'


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
