"""What a training logs, which goes on where a checkpoint was."""

import csv
import threading
from pathlib import Path

import pytest
from stable_baselines3.common.logger import TensorBoardOutputFormat
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from glimpse_lab.logs import GrowingCSV, failed_writes_told_once, truncate_events

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


def write_events(folder: Path, *steps: int) -> None:
    output = TensorBoardOutputFormat(str(folder))
    for step in steps:
        output.write({"loss": step / 10}, {"loss": ()}, step)
    output.close()


def read_events(folder: Path) -> list[int]:
    """Steps of all points of all files of a folder, those that TensorBoard would hide, too."""
    files = sorted(folder.glob("events.out.tfevents.*"))
    events = [event for file in files for event in EventFileLoader(str(file)).Load()]
    return [event.step for event in events if event.HasField("summary")]


@pytest.mark.parametrize(
    ("upto", "kept"),
    [
        (0, []),
        (9, []),
        (20, [10, 15, 20]),
        (45, [10, 15, 20, 30, 40]),
        (99, [10, 15, 20, 30, 40, 50]),
    ],
)
def test_points_of_lost_branches_are_taken_out(tmp_path: Path, upto: int, kept: list[int]) -> None:
    write_events(tmp_path, 10, 20, 30)
    write_events(tmp_path, 15, 40, 50)
    (tmp_path / "events.txt").write_text("of the user")
    truncate_events(tmp_path, upto)
    assert sorted(read_events(tmp_path)) == kept
    write_events(tmp_path, upto + 1)  # the training goes on
    assert max(read_events(tmp_path)) == upto + 1
    assert len(list(tmp_path.iterdir())) == 4 and (tmp_path / "events.txt").exists()


def test_a_record_that_a_kill_cut_off_hides_nothing(tmp_path: Path) -> None:
    write_events(tmp_path, 10, 20)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    truncate_events(tmp_path, 15)
    write_events(tmp_path, 16)
    assert read_events(tmp_path) == [10, 16]


def test_a_failed_write_of_a_thread_is_not_told_by_the_thread(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail_in_thread(error: Exception) -> None:
        def work() -> None:
            raise error

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    told: list[type] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda failure: told.append(failure.exc_type))
        with failed_writes_told_once():
            fail_in_thread(OSError(28, "No space left on device"))
            fail_in_thread(ZeroDivisionError())
        fail_in_thread(OSError())
    assert told == [ZeroDivisionError, OSError] and not capsys.readouterr().err


def test_a_table_of_no_text_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"
    file.write_bytes(bytes(range(256)))
    table = GrowingCSV(file, 100)
    table.write({"time/total_timesteps": 8}, {"time/total_timesteps": ()}, 8)
    table.close()
    assert file.read_text() == "time/total_timesteps\n8\n"
