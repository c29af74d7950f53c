"""The table of progress, which goes on where a checkpoint was."""

import csv
from pathlib import Path

import pytest

from glimpse_lab.logs import GrowingCSV

STEPS = "time/total_timesteps"


def write(file: Path, upto: int, *rows: dict[str, float]) -> None:
    table = GrowingCSV(file, upto)
    for row in rows:
        table.write(row, {key: () for key in row})
    table.close()


def read(file: Path) -> list[dict[str, str]]:
    with file.open() as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A table of three rows."""
    write(tmp_path / "progress.csv", 0, *({STEPS: t, "loss": t / 10} for t in (10, 20, 30)))
    return tmp_path / "progress.csv"


def test_a_table_is_begun_where_there_is_none(file: Path) -> None:
    assert read(file) == [{STEPS: str(t), "loss": str(t / 10)} for t in (10, 20, 30)]
    assert [path.name for path in file.parent.iterdir()] == ["progress.csv"]


@pytest.mark.parametrize(("upto", "kept"), [(0, 0), (9, 0), (10, 1), (25, 2), (99, 3)])
def test_rows_up_to_the_checkpoint_are_kept(file: Path, upto: int, kept: int) -> None:
    write(file, upto, {STEPS: 26, "loss": 0.5})
    steps = [row[STEPS] for row in read(file)]
    assert steps == ["10", "20", "30"][:kept] + ["26"]


def test_new_columns_are_empty_in_earlier_rows(file: Path) -> None:
    write(file, 20, {STEPS: 25, "loss": 0.5, "accuracy": 1.0}, {STEPS: 35, "accuracy": 0.9})
    assert [row["accuracy"] for row in read(file)] == ["", "", "1.0", "0.9"]
    assert [row["loss"] for row in read(file)] == ["1.0", "2.0", "0.5", ""]
    write(file, 30, {STEPS: 31, "accuracy": 0.8})
    assert [row["accuracy"] for row in read(file)] == ["", "", "1.0", "0.8"]


def test_a_row_that_was_being_written_is_dropped(file: Path) -> None:
    for half in ("4", "40,"):
        with file.open("a") as table:
            table.write(half)
        write(file, 30, {STEPS: 41, "loss": 0.1})
        assert [row[STEPS] for row in read(file)] == ["10", "20", "30", "41"]


@pytest.mark.parametrize("content", ["", "\n", "no,table\n1,2\n"])
def test_a_file_that_is_no_table_of_progress_is_begun_anew(file: Path, content: str) -> None:
    file.write_text(content)
    write(file, 50, {STEPS: 51, "loss": 0.1})
    assert read(file) == [{STEPS: "51", "loss": "0.1"}]


def test_text_with_commas_and_quotes_comes_back(file: Path) -> None:
    write(file, 30, {STEPS: 40, "note": 'a, "b"'})
    write(file, 40, {STEPS: 50, "note": "c"})
    assert [row["note"] for row in read(file)] == ["", "", "", 'a, "b"', "c"]
