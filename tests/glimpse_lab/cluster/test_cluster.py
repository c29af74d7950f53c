"""Seeds, sweeps and searches on a Ray cluster: as here, whoever dies meanwhile."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from scripts import call, fail, finish, lines, start, succeed, wait_until

from glimpse_lab.cli import train as training
from glimpse_lab.runs import Run, RunError

pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')

import psutil  # which Ray brings along
import ray
from ray.cluster_utils import Cluster

from glimpse_lab.cluster.connection import Task, connected, default_jobs, this_task
from glimpse_lab.cluster.tasks import RETRIES, Tasks

ENV = "GlimpseDigits-MultiCat-v0"
#: an agent without a classifier: nothing is trained before it
TINY = ["--classifier", "none", "--n-envs", "32", "--no-video"]
TINY += ["--set", "n_steps=16", "batch_size=256", "n_epochs=1", "env_kwargs.budget=3"]
TINY += ["callback=[]"]

train = partial(succeed, training.main, *TINY)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of one node with two cores."""
    with pytest.MonkeyPatch.context() as patch:
        # else of 15, and other work on this machine would starve them
        patch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield cluster.address
    cluster.shutdown()


def progress(run: Path) -> list[dict[str, str]]:
    """What a training has logged, but for how fast it was."""
    with (run / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    timed = ("time/fps", "time/time_elapsed")
    return [{key: row[key] for key in sorted(row) if key not in timed} for row in rows]


def results(run: Path) -> dict[str, object]:
    """What an evaluation has found, but for how long it took."""
    content = json.loads((run / "metrics.json").read_text())
    return {k: v for k, v in content.items() if "seconds" not in k and "minutes" not in k}


def worker_of(run: Path) -> int:
    """The process that trains a run now, as it says itself."""
    return int(re.findall(r"process (\d+)", (run / "output.log").read_text())[-1])


def saved_timesteps(run: Path) -> int:
    """How far the newest checkpoint has come; 0 where there is none."""
    return Run.open(run).saved_timesteps() if (run / "model.zip").exists() else 0


def test_seeds_are_those_of_one_machine(tmp_path: Path, address: str) -> None:
    arguments = ["--seeds", "0-1", "--total-timesteps", "1024", "--name", "many"]
    train("--runs", tmp_path / "here", *arguments)
    output = train("--runs", tmp_path / "there", *arguments, "--cluster", address)
    assert "cluster of 2 cores, at most 2 trainings at a time" in output
    here, there = (tmp_path / place / ENV / "many" for place in ("here", "there"))
    for seed in ("seed0", "seed1"):
        assert len(progress(there / seed)) == 2
        assert progress(there / seed) == progress(here / seed)
        assert results(there / seed) == results(here / seed)
    assert progress(there / "seed0") != progress(there / "seed1")
    tables = [json.loads((folder / "seeds.json").read_text()) for folder in (here, there)]
    assert tables[0] == tables[1]


def test_a_member_that_fails_is_said_and_the_others_are_reported(
    tmp_path: Path, address: str
) -> None:
    sweep = ["--sweep", "env_kwargs.budget=2,3", "--total-timesteps", "512", "--name", "s"]
    arguments = ["--runs", tmp_path, *sweep, "--cluster", address]
    output = train(*arguments)
    assert "budget=3/seed0: accuracy" in output and "frontier.png" in output
    broken = tmp_path / ENV / "s" / "budget=2" / "seed0"
    for name in ("metrics.json", "model.zip"):
        (broken / name).unlink()
    status, output, errors = call(training.main, *TINY, *arguments)
    assert status == 1 and "1 of 2 runs failed; the others are reported above" in errors
    assert "1 of 2 runs are finished already" in output
    assert "budget=2/seed0: failed," in output and "its model.zip is gone" in output
    assert "its model.zip is gone" in (broken / "output.log").read_text()


def test_a_killed_worker_and_a_killed_driver_lose_nothing_saved(
    tmp_path: Path, address: str
) -> None:
    arguments = [*TINY, "--runs", tmp_path, "--name", "one", "--seeds", "0", "--cluster", address]
    arguments += ["--total-timesteps", "65536"]
    run = tmp_path / ENV / "one" / "seed0"
    first = start("train.py", *arguments)
    wait_until(lambda: saved_timesteps(run) > 0, first)
    saved, rows = saved_timesteps(run), lines(run / "progress.csv")
    os.kill(worker := worker_of(run), signal.SIGKILL)
    wait_until(lambda: worker_of(run) != worker, first)
    wait_until(lambda: lines(run / "progress.csv") > rows + 2, first)
    assert saved_timesteps(run) >= saved

    first.kill()  # the driver
    first.communicate()
    second = start("train.py", *arguments)
    rows = lines(run / "progress.csv")
    wait_until(lambda: lines(run / "progress.csv") > rows, second)
    second.send_signal(signal.SIGINT)
    status, output, errors = finish(second)
    assert status == 130 and "seed0: going on" in output, output + errors
    assert "Go on with the same command" in output and "--cluster" in output
    assert "stopped and saved at" in (run / "output.log").read_text()
    assert saved < saved_timesteps(run) < 65536

    third = start("train.py", *arguments)
    status, output, errors = finish(third)
    assert status == 0 and "seed0: accuracy" in output, output + errors
    steps = [int(row["time/total_timesteps"]) for row in progress(run)]
    assert steps == sorted(set(steps)) and steps[-1] >= 65536  # no row of a lost part is left


def test_trials_are_those_of_one_machine(tmp_path: Path, address: str) -> None:
    arguments = ["--tune", "2", "--total-timesteps", "1024", "--name", "t"]
    train("--runs", tmp_path / "here", *arguments)
    train("--runs", tmp_path / "there", *arguments, "--cluster", address, "--jobs", "1")
    tables = [(tmp_path / place / ENV / "t" / "trials.csv") for place in ("here", "there")]
    assert tables[0].read_text() == tables[1].read_text()
    output = train("--runs", tmp_path / "two", *arguments, "--cluster", address)
    assert output.count("trial") >= 4 and "best: trial" in output
    assert lines(tmp_path / "two" / ENV / "t" / "trials.csv") == 3


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "no Ray cluster answers at --cluster 127.0.0.1:9 (Connection refused)"),
        ("nowhere", "got --cluster nowhere; wanted auto, local, or HOST:PORT"),
        ("127.0.0.1:99999", "got --cluster 127.0.0.1:99999; wanted auto, local, or HOST:PORT"),
    ],
)
def test_an_address_that_does_not_answer(tmp_path: Path, address: str, message: str) -> None:
    arguments = [*TINY, "--runs", tmp_path, "--seeds", "0", "--cluster", address]
    assert message in fail(training.main, *arguments)


def test_another_version_of_ray(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "__version__", "2.0.0")
    arguments = [*TINY, "--runs", tmp_path, "--seeds", "0", "--cluster", address]
    message = fail(training.main, *arguments)
    assert "was started with: Ray: 2.0.0" in message
    assert "wanted the same versions on all machines" in message
    assert "ray start" not in message and not ray.is_initialized()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:1", "got --device cuda:1 with --cluster; wanted one of cpu, cuda, auto"),
        ("cuda", "no machine of the cluster has 1 core(s) and a graphics card"),
    ],
)
def test_a_device_that_cannot_be_reserved(
    tmp_path: Path, address: str, device: str, message: str
) -> None:
    arguments = ["--runs", tmp_path, "--name", "n", "--seeds", "0", "--jobs", "1"]
    arguments += ["--cluster", address, "--device", device]
    assert message in fail(training.main, *TINY, *arguments)
    assert not list(tmp_path.rglob("config.yml"))


def test_what_fits_on_the_machines(address: str) -> None:
    with connected(address):
        task = this_task("auto", 1, ())
        assert task.device == "cpu"  # no machine has a card
        assert default_jobs(task) == 2
        with pytest.raises(RunError, match=r"no machine of the cluster has 3 core\(s\) for"):
            default_jobs(replace(task, threads=3))


def test_a_worker_that_always_dies_is_given_up(tmp_path: Path, address: str) -> None:
    def work(folder: Path, deadly: int) -> int:
        begun = len(list(folder.iterdir()))
        (folder / str(begun)).touch()
        if begun < deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return begun

    said: list[str] = []
    with connected(address):
        tasks = Tasks(work, this_task("cpu", 1, ()), said.append)
        for name, deadly in (("once", 1), ("always", 100)):
            (tmp_path / name).mkdir()
            tasks.begin(name, tmp_path / name, deadly, name=name)
        ended = {}
        while tasks.running:
            if (end := tasks.ended()) is not None:
                ended[end.key] = end
    assert ended["once"].answer == 1 and ended["once"].failed is None
    assert ended["always"].failed == f"its worker died {RETRIES + 1} times (WorkerCrashedError)"
    assert len(list((tmp_path / "always").iterdir())) == RETRIES + 1
    line = "once: its worker died (WorkerCrashedError); anew, 1 of at most 5"
    assert line in said and len(said) == RETRIES + 1


def test_an_error_that_none_had_foreseen_is_told_with_its_kind(address: str) -> None:
    def work() -> None:
        raise KeyError("lost")

    with connected(address):
        tasks = Tasks(work, this_task("cpu", 1, ()))
        tasks.begin(0, name="work")
        while (end := tasks.ended()) is None:
            pass
    assert end.failed == "unexpected KeyError: 'lost'" and not tasks.running


def test_ctrl_c_in_a_terminal_ends_a_cluster_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There every process of the command hears it, those of Ray too."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    arguments = [*TINY, "--runs", tmp_path, "--name", "one", "--seeds", "0", "--cluster", "local"]
    run = tmp_path / ENV / "one" / "seed0"
    process = start(
        "train.py", *arguments, "--total-timesteps", "1e7", process_group=0, cwd=tmp_path
    )
    # two processes import everything, one after the other: minutes on a busy machine
    wait_until(lambda: lines(run / "progress.csv") > 1, process, timeout=600.0)
    begun = psutil.Process(process.pid).children(recursive=True)
    worker = worker_of(run)
    assert worker in {child.pid for child in begun}
    os.killpg(process.pid, signal.SIGINT)
    status, output, errors = finish(process)
    assert status == 130 and "Go on with the same command" in output, output + errors
    assert "stopped and saved at" in (run / "output.log").read_text()
    _, left = psutil.wait_procs(begun, timeout=60.0)
    assert not left


def test_a_folder_that_a_machine_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="on a disk that all machines of the cluster share"):
        Task(folder=str(tmp_path / "absent")).begin()
