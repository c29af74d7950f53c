"""Weights & Biases without a network: what it keeps in its offline mode."""

from __future__ import annotations

import struct
import sys
import time
from pathlib import Path

import pytest
from made_results import made_baseline, made_evaluation
from made_runs import make_run
from wandb.proto import wandb_internal_pb2

from glimpse_lab.integrations.weights_and_biases import Tracker, load_wandb

_BLOCK, _WHOLE, _LAST = 32768, 1, 4


def records(folder: Path) -> list[wandb_internal_pb2.Record]:
    """What an offline session has written, in order.

    Its service is another process, and writes the last of it after ``finish`` has returned.
    """
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 60
    while True:
        found = parsed(file.read_bytes())
        if any(record.HasField("exit") for record in found):
            return found
        assert time.monotonic() < deadline, f"no end in {file}"
        time.sleep(0.05)


def parsed(content: bytes) -> list[wandb_internal_pb2.Record]:
    """The whole records in a file's content."""
    place, pieces, found = 7, b"", []  # after the file's header, as in LevelDB's logs
    while place + 7 <= len(content):
        if (left := _BLOCK - place % _BLOCK) < 7:
            place += left  # a block's end, too short for another record
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        pieces += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (_WHOLE, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(pieces)
            found.append(record)
            pieces = b""
    return found


def test_progress_settings_and_result_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    # its service must answer within 30 s of its start: too short a time for a busy machine
    monkeypatch.setenv("WANDB_X_SERVICE_WAIT", "600")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "600")
    overrides = {"n_envs": 8, "n_steps": 8, "batch_size": 32, "n_epochs": 1}
    run = make_run(tmp_path / "group" / "run", overrides=overrides, classifier="none")
    tracker = Tracker(run, "a-project")
    model = run.config.make_model(run.make_env(), "cpu")
    logger = run.make_logger()
    logger.output_formats.append(tracker)
    model.set_logger(logger)
    model.learn(128, log_interval=1)
    tracker.finish(made_evaluation(accuracy=0.5, baselines={"b": made_baseline(accuracy=0.25)}))

    written = records(run.path)
    begun = next(record.run for record in written if record.HasField("run"))
    assert begun.project == "a-project" and begun.display_name == "group/run"
    assert begun.run_id == (run.path / "wandb" / "id").read_text()
    assert "recipe" in {item.key for item in begun.config.update}
    rows = [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in written
        if record.HasField("history")
    ]
    assert [row["timesteps"] for row in rows] == ["64", "128"]
    assert "train/loss" in rows[1]
    summary = [
        (item.key or "/".join(item.nested_key), item.value_json)
        for record in written
        if record.HasField("summary")
        for item in record.summary.update
    ]
    assert ("test/accuracy", "0.5") in summary and ("test/baselines/b/accuracy", "0.25") in summary


def test_without_wandb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="pip install"):
        load_wandb()
