"""``train.py`` and ``eval.py`` from a recipe to a run directory, and back, on a tiny budget."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from forks import ForkedScript
from PIL import Image
from scripts import call, fail, finish, lines, start, succeed, wait_until

from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train as training
from glimpse_lab.own_pictures import OWN_PICTURES_ENV
from glimpse_lab.runs import Run

ENV_ID = "GlimpseDigits-MultiCat-v0"
TRAINING = "callback=[{policies.CoTrainingCallback: {pretraining: 256, batch_size: 64}}]"
TINY = ["--set", "n_envs=8", "n_steps=16", "batch_size=64", "n_epochs=1", TRAINING]
TINY += ["env_kwargs.classifier={type: canvas, width: 4}"]

train = partial(succeed, training.main)
evaluate = partial(succeed, evaluation.main, name="eval.py")
train_fails = partial(fail, training.main)
evaluate_fails = partial(fail, evaluation.main, name="eval.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of the default environment, to be read."""
    runs = tmp_path_factory.mktemp("runs")
    output = train("--runs", runs, "--name", "tiny", "--total-timesteps", 512, *TINY)
    assert "accuracy" in output and "eval.py" in output
    return runs / ENV_ID / "tiny"


@pytest.fixture
def trained(made: Path, tmp_path: Path) -> Path:
    """A run directory of its own for a test that writes into it."""
    return Path(shutil.copytree(made, tmp_path / "trained"))


def test_training_leaves_a_complete_run_directory(made: Path) -> None:
    names = {path.name for path in made.iterdir()}
    assert names >= {
        "config.yml",
        "model.zip",
        "progress.csv",
        "metrics.json",
        "learning_curve.png",
        "confusion.png",
        "video.mp4",
    }
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert not any(name.startswith(".") for name in names)  # no temporary file is left
    config = yaml.safe_load((made / "config.yml").read_text())
    assert config["recipe"]["n_envs"] == 8 and config["dataset"]["digest"]


def test_metrics_hold_what_a_reader_needs(made: Path) -> None:
    metrics = json.loads((made / "metrics.json").read_text())
    assert metrics["n_images"] == 359 and metrics["split"] == "test"
    low, high = metrics["accuracy_ci95"]
    assert low <= metrics["accuracy"] <= high
    keys = {"mean_glimpses", "mean_samples", "sample_fraction", "coverage", "accuracy_by_glimpse"}
    assert keys <= metrics.keys()
    (baseline,) = metrics["baselines"].values()
    assert keys | {"accuracy", "accuracy_ci95", "n_images"} <= baseline.keys()
    assert {"env", "dataset", "seconds", "seed", "versions", "git"} <= metrics.keys()


def test_eval_repeats_the_evaluation_from_the_folder_alone(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads((made / "metrics.json").read_text())
    monkeypatch.chdir(tmp_path)
    after = json.loads(evaluate(made, "--quick", "--json"))
    for key in ("accuracy", "accuracy_by_glimpse", "mean_samples", "coverage", "baselines"):
        assert after[key] == before[key]


def test_a_quick_eval_of_another_split_writes_the_film_alone(trained: Path) -> None:
    before = {file.name for file in trained.iterdir()}
    arguments = ["--quick", "--split", "validation", "--video", 2, "--json"]
    status, output, errors = call(evaluation.main, trained, *arguments, name="eval.py")
    assert status == 0 and json.loads(output)["n_images"] == 144
    assert "video-validation.mp4" in errors
    films = {"video-validation.mp4", "video-validation.gif"}
    assert {file.name for file in trained.iterdir()} == before | films
    assert (trained / "video-validation.gif").exists()


def test_a_changed_environment_is_evaluated_and_nothing_written(made: Path) -> None:
    before = {file.name: file.stat().st_mtime for file in made.iterdir()}
    result = json.loads(evaluate(made, "--set", "env_kwargs.start=random", "--json"))
    assert result["env_kwargs"]["start"] == "random"
    assert {file.name: file.stat().st_mtime for file in made.iterdir()} == before


def test_eval_writes_a_full_report_and_compares_seeds(tmp_path: Path) -> None:
    names = ["one", "two"]
    for seed, name in enumerate(names):
        arguments = ["--env", "GlimpseMNIST-MultiCat-v0", "--seed", seed, "--name", name]
        tiny = ["--total-timesteps", 256, "--no-video", *TINY, "env_kwargs.budget=3"]
        train("--runs", tmp_path, *arguments, *tiny)
    folders = [tmp_path / "GlimpseMNIST-MultiCat-v0" / name for name in names]

    exported = tmp_path / "fixations.csv"
    evaluate(folders[0], "--scanpaths", 2, "--video", 1, "--export", exported)
    metrics = json.loads((folders[0] / "metrics.json").read_text())
    fair = {"random", "centre", "grid", "overview-random", "best-fixed"}
    assert fair | {"saliency", "uncertainty"} < metrics["baselines"].keys()
    assert metrics["budgets"].keys() == {"1", "6"}
    assert len(metrics["statistics"]["by_glimpse"]) == 3
    page = (folders[0] / "report.html").read_text(encoding="utf-8")
    assert "surest classifier" in page and f"{100 * metrics['accuracy']:.1f}" in page
    figures = {file.stem for file in (folders[0] / "figures").iterdir()}
    assert {"accuracy_samples", "by_glimpse", "reliability", "risk_coverage"} <= figures
    rows = exported.read_text().splitlines()
    assert len(rows) == 1 + round(60 * metrics["mean_glimpses"])

    assert "over seeds" in evaluate(*folders, "--compare", "--out", tmp_path / "both")
    assert (tmp_path / "both" / "comparison.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b"], "or several with --compare"),
        (["a", "--compare"], "wanted one"),
        (["a", "b", "--compare", "--quick"], "leave out --quick"),
        (["a", "--hidden"], "--hidden is for --export"),
        (["a", "--scanpaths", "2", "--budget", "3"], "leave out --budget"),
        (["a", "--video", "-1"], "wanted an integer, 0 to"),
        (["a", "--set", "env_kwargs.budget=3", "--video", "1"], "leave out --video"),
    ],
)
def test_eval_refuses_what_does_not_go_together(arguments: list[str], message: str) -> None:
    assert message in evaluate_fails(*arguments)


def long_training(runs: Path) -> tuple[list[object], Path]:
    """Arguments of a training that ends only when it is ended, and its directory."""
    arguments = ["--runs", runs, "--name", "long", "--total-timesteps", "1e8", *TINY]
    return arguments, runs / ENV_ID / "long"


def start_long(runs: Path) -> tuple[ForkedScript, Path]:
    """Start it; return its directory, too."""
    arguments, folder = long_training(runs)
    return ForkedScript(training.main, *arguments), folder


def test_ctrl_c_saves_and_says_how_to_resume(tmp_path: Path) -> None:
    process, folder = start_long(tmp_path)
    wait_until(lambda: lines(folder / "progress.csv") > 3, process)
    process.send_signal(signal.SIGINT)
    status, output, _ = finish(process)
    assert status == 130
    assert f"--resume {folder}" in output and (folder / "model.zip").exists()

    rows = lines(folder / "progress.csv")
    saved = int(output.split("saved at ")[1].split(" of")[0].replace(",", ""))
    more = saved + 256
    train("--resume", folder, "--total-timesteps", more, "--no-video")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["timesteps"] >= more
    assert lines(folder / "progress.csv") >= rows  # the curve goes on


def test_a_run_in_training_is_left_alone_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    process, folder = start_long(tmp_path)
    wait_until((folder / "model.zip").exists, process)
    before = (folder / "config.yml").read_text()
    assert "another process" in train_fails("--resume", folder, "--total-timesteps", 9999)
    assert (folder / "config.yml").read_text() == before
    assert process.poll() is None
    process.kill()
    process.communicate()

    (folder / f".model.glimpse-tmp-{process.pid}.zip").write_bytes(b"killed while it was written")
    train("--runs", tmp_path, "--resume", "--total-timesteps", 600, "--no-video")
    assert json.loads((folder / "metrics.json").read_text())["timesteps"] > 600
    assert not list(folder.glob(".*"))


def test_ctrl_c_several_times_ends_with_what_is_saved(tmp_path: Path) -> None:
    arguments, folder = long_training(tmp_path)
    process = start("train.py", *arguments)  # how the interpreter ends is asked, too
    wait_until(lambda: lines(folder / "progress.csv") > 1, process)
    for _ in range(5):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    status, output, errors = finish(process)
    assert status == 130 and f"--resume {folder}" in output, output + errors
    assert "nothing is saved" not in output + errors
    assert "is kept" in output or "stopped and saved" in output


@pytest.mark.slow
def test_a_run_that_is_killed_every_few_seconds_advances(tmp_path: Path) -> None:
    process, folder = start_long(tmp_path)
    saved = []
    for _ in range(3):
        wait_until(lambda: lines(folder / "progress.csv") > 0, process)
        time.sleep(3.0)
        process.kill()
        process.communicate()
        saved.append(Run.open(folder).saved_timesteps())
        (folder / "progress.csv").unlink()  # to see when the next part has begun
        process = ForkedScript(training.main, "--resume", folder)
    process.kill()
    process.communicate()
    assert saved[0] > 0 and saved[0] < saved[1] < saved[2]


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let every write beyond so many bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_the_last_checkpoint(trained: Path) -> None:
    before = (trained / "model.zip").read_bytes()
    with largest_file(len(before) // 2):
        message = train_fails("--resume", trained, "--total-timesteps", 1024)
    assert "could not be written" in message and "--resume" in message
    assert (trained / "model.zip").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "GlimpseCIFAR-MultiKat-v0"], "GlimpseCIFAR-MultiCat"),
        (["--env", "CartPole-v1"], "not a glimpse environment"),
        (["--env", "GlimpseDigits-Saccade-v0", "--classifier", "none"], "needs a classifier"),
        (["--dataset", "digit"], "did you mean 'digits'"),
        (["--set", "learning_rat=1"], "did you mean 'learning_rate'"),
        (["--set", "env_kwargs.budgett=1"], "did you mean 'budget'"),
        (["--set", "budget=3"], "did you mean 'env_kwargs.budget'"),
        (["--sweep", "budget=2,3"], "did you mean 'env_kwargs.budget'"),
        (["--set", "policy_kwargs.lstm=1"], "lstm"),
        (["--set", "budget"], "wanted KEY=VALUE"),
        (["--recipe", "nowhere/ppo.yml"], "cannot be read"),
        (["--set", "n_steps=many"], "got n_steps='many'; wanted an integer"),
        (["--set", "learning_rat=1", "--set", "n_epochs=1"], "'learning_rate'"),
        (["--set", "callback=os.getcwd"], "--packages"),
        (["--total-timesteps", "nan"], "total_timesteps"),
        (["--device", "abacus"], "cannot be used; wanted cpu, cuda or auto"),
        (["--name", "../x"], "wanted a plain name"),
        (["--packages", "nowhere"], "does not import"),
        (["--resume", "nowhere"], "not a run directory"),
        (["--resume", "--env", "x", "--n-envs", "3"], "leave out --env, --n-envs"),
    ],
)
def test_wrong_arguments_get_a_message_and_leave_nothing(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    assert message in train_fails(*arguments, "--runs", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_message_comes_without_a_traceback(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    status, _, errors = finish(start("train.py", "--dataset", "digit", "--runs", runs))
    assert status == 1 and errors.startswith("error: ") and "did you mean 'digits'" in errors
    assert not runs.exists()


def test_a_relative_image_folder_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for name in ("dark", "bright"):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for k in range(10):
            pixels = rng.integers(0, 100, (16, 16), dtype=np.uint8) + 150 * (name == "bright")
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")
    monkeypatch.chdir(tmp_path)
    arguments = ["--dataset", "folder:pictures", "--total-timesteps", 128, "--name", "x"]
    train(*arguments, *TINY, "--no-video")
    monkeypatch.chdir("/")
    output = evaluate(tmp_path / "runs" / OWN_PICTURES_ENV / "x", "--quick", "--json")
    assert json.loads(output)["n_images"] == 4


@pytest.mark.parametrize("place", ["FILE/below", "~nobody-of-this-name/x"])
def test_digits_train_without_a_data_directory(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GLIMPSE_DATA_DIR", place.replace("FILE", str(tmp_path / "file")))
    monkeypatch.chdir("/proc" if place.startswith("~") else tmp_path)  # nothing can be made there
    arguments = ["--runs", tmp_path / "runs", "--name", "x", "--total-timesteps", 128, "--no-video"]
    output = train(*arguments, *TINY)
    assert output.count("will not be kept") == 1 and "accuracy" in output


def change_config(folder: Path, **changes: object) -> None:
    """Change entries of a run's ``config.yml``; None takes one away."""
    config = yaml.safe_load((folder / "config.yml").read_text()) | changes
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / "config.yml").write_text(yaml.safe_dump(kept))


def test_a_strangers_run_imports_nothing_of_his(trained: Path, tmp_path: Path) -> None:
    recipe = yaml.safe_load((trained / "config.yml").read_text())["recipe"]
    callback = {"subprocess.call": {"args": ["touch", str(tmp_path / "x")]}}
    change_config(trained, recipe={**recipe, "callback": callback})
    assert "--packages" in train_fails("--resume", trained, "--total-timesteps", 1024)
    change_config(trained, recipe={**recipe, "policy": "this.s"})
    assert "'this.s'" in evaluate_fails(trained)
    assert not (tmp_path / "x").exists()


def test_no_data_and_no_network_gives_three_ways_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("https_proxy", "127.0.0.1:9")
    message = train_fails("--env", "GlimpseCIFAR-MultiCat-v0")
    assert "GLIMPSE_DATA_DIR" in message and "--dataset digits" in message
    assert str(tmp_path / "cifar10.npz") in message and "pack_dataset" in message


def test_a_broken_run_directory_says_what_is_wrong(trained: Path) -> None:
    model = trained / "model.zip"
    whole = model.read_bytes()
    model.unlink()
    assert "no model.zip" in evaluate_fails(trained)
    model.write_bytes(whole[:5000])
    assert "broken" in evaluate_fails(trained)
    model.write_bytes(whole)
    config = yaml.safe_load((trained / "config.yml").read_text())
    config["recipe"]["policy_kwargs"]["features_extractor_kwargs"]["glimpse_dim"] = 32
    change_config(trained, recipe=config["recipe"])
    assert "does not fit" in evaluate_fails(trained)
    change_config(trained, dataset={**config["dataset"], "digest": "0"})
    assert "has changed" in evaluate_fails(trained)
    change_config(trained, recipe=None)
    assert "lacks recipe" in evaluate_fails(trained)
