"""What a training logs, which a resumed run continues: a table, and TensorBoard's events."""

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import CSVOutputFormat
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

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


def _text(file: Path) -> str:
    """Return the text of a table; bytes that are none, as of a damaged disk, are replaced."""
    return file.read_text(encoding="utf-8", errors="replace")


def _read_rows(file: Path, upto: int) -> tuple[list[str], list[list[str]]]:
    """Return header and whole rows of a progress file, up to so many timesteps."""
    if not file.exists():
        return [], []
    header, *rows = list(csv.reader(io.StringIO(_text(file)))) or [[]]
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
    return max(0, len(_text(file).splitlines()) - 1) if file.exists() else 0


@contextmanager
def failed_writes_told_once() -> Iterator[None]:
    """Let TensorBoard's thread end without a traceback when the disk is full.

    The same error comes to the main thread with its next write.
    """
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not isinstance(failure.exc_value, OSError):
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def truncate_events(folder: Path, upto: int) -> None:
    """Take out of TensorBoard's files the points beyond so many timesteps.

    :param folder: that holds the files of one training; others are left as they are
    :param upto: timesteps of the checkpoint from which the training goes on
    """
    for file in sorted(folder.glob("events.out.tfevents.*")):
        records = list(RawEventFileLoader(str(file)).Load())  # up to one that a kill cut off
        kept = [record for record in records if Event.FromString(record).step <= upto]
        if len(kept) == len(records):
            continue
        with replacing(file) as temporary, temporary.open("wb") as rewritten:
            writer = RecordWriter(rewritten)
            for record in kept:
                writer.write(record)
