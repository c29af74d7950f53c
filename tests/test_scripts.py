"""The scripts as a user runs them: subprocesses on a tiny budget."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from PIL import Image

from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train

ROOT = Path(__file__).parents[1]
TRAINING = "callback=[{policies.CoTrainingCallback: {pretraining: 256, batch_size: 64}}]"
TINY = ["--set", "n_envs=8", "n_steps=16", "batch_size=64", "n_epochs=1", TRAINING]


def run(script: str, *arguments: object, **kwargs) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **kwargs)


def fails(*arguments: object, script: str = "train.py", **kwargs) -> str:
    """Run a script that must fail with a message and without a traceback; return the message."""
    result = run(script, *arguments, **kwargs)
    assert result.returncode not in (0, -signal.SIGKILL)
    assert "Traceback" not in result.stderr, result.stderr
    assert "error: " in result.stderr
    return result.stderr


def refused(script: ModuleType, *arguments: object, capsys: pytest.CaptureFixture[str]) -> str:
    """Call a script that must refuse its arguments, sooner than in a process; the message."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script.__file__), *map(str, arguments)])
        with pytest.raises((ValueError, OSError, SystemExit)) as caught:
            script.main()
    return str(caught.value) + capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of the default environment."""
    runs = tmp_path_factory.mktemp("runs")
    result = run("train.py", "--runs", runs, "--name", "tiny", "--total-timesteps", 512, *TINY)
    assert result.returncode == 0, result.stderr
    assert "accuracy" in result.stdout and "python eval.py" in result.stdout
    return runs / "GlimpseDigits-MultiCat-v0" / "tiny"


def test_training_leaves_a_complete_run_directory(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
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
    config = yaml.safe_load((trained / "config.yml").read_text())
    assert config["recipe"]["n_envs"] == 8 and config["dataset"]["digest"]


def test_metrics_hold_what_a_reader_needs(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["n_images"] == 359 and metrics["split"] == "test"
    low, high = metrics["accuracy_ci95"]
    assert low <= metrics["accuracy"] <= high
    keys = {"mean_glimpses", "mean_samples", "sample_fraction", "coverage", "accuracy_by_glimpse"}
    assert keys <= metrics.keys()
    (baseline,) = metrics["baselines"].values()
    assert keys | {"accuracy", "accuracy_ci95", "n_images"} <= baseline.keys()
    assert {"env", "dataset", "seconds", "seed", "versions", "git"} <= metrics.keys()


def test_eval_repeats_the_evaluation_from_the_folder_alone(trained: Path, tmp_path: Path) -> None:
    before = json.loads((trained / "metrics.json").read_text())
    result = run("eval.py", trained, "--quick", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    after = json.loads(result.stdout)
    for key in ("accuracy", "accuracy_by_glimpse", "mean_samples", "coverage", "baselines"):
        assert after[key] == before[key]


def test_a_quick_eval_of_another_split_writes_the_film_alone(trained: Path) -> None:
    before = {file.name for file in trained.iterdir()}
    result = run("eval.py", trained, "--quick", "--split", "validation", "--video", 2, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["n_images"] == 144
    assert "video-validation.mp4" in result.stderr
    films = {"video-validation.mp4", "video-validation.gif"}
    assert {file.name for file in trained.iterdir()} == before | films
    assert (trained / "video-validation.gif").exists()


def test_eval_writes_a_full_report_and_compares_seeds(tmp_path: Path) -> None:
    names = ["one", "two"]
    for seed, name in enumerate(names):
        arguments = ["--env", "GlimpseMNIST-MultiCat-v0", "--seed", seed, "--name", name]
        tiny = ["--total-timesteps", 256, "--no-video", *TINY, "env_kwargs.budget=3"]
        result = run("train.py", "--runs", tmp_path, *arguments, *tiny)
        assert result.returncode == 0, result.stderr
    folders = [tmp_path / "GlimpseMNIST-MultiCat-v0" / name for name in names]

    exported = tmp_path / "fixations.csv"
    result = run("eval.py", folders[0], "--scanpaths", 2, "--video", 1, "--export", exported)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((folders[0] / "metrics.json").read_text())
    fair = {"random", "centre", "grid", "overview-random", "best-fixed"}
    assert fair | {"saliency", "uncertainty"} < metrics["baselines"].keys()
    assert metrics["budgets"].keys() == {"1", "6"}
    assert len(metrics["statistics"]["by_glimpse"]) == 3
    page = (folders[0] / "report.html").read_text(encoding="utf-8")
    assert "uncertainty" in page and f"{100 * metrics['accuracy']:.1f}" in page
    figures = {file.stem for file in (folders[0] / "figures").iterdir()}
    assert {"accuracy_samples", "by_glimpse", "reliability", "risk_coverage"} <= figures
    assert (folders[0] / "scanpaths.png").exists()
    rows = exported.read_text().splitlines()
    assert len(rows) == 1 + round(60 * metrics["mean_glimpses"])

    result = run("eval.py", *folders, "--compare", "--out", tmp_path / "both")
    assert result.returncode == 0, result.stderr
    assert "over seeds" in result.stdout
    assert (tmp_path / "both" / "comparison.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b"], "or several with --compare"),
        (["a", "--compare"], "wanted one"),
        (["a", "b", "--compare", "--quick"], "leave out --quick"),
        (["a", "--hidden"], "--hidden is for --export"),
        (["a", "--scanpaths", "2", "--budget", "3"], "leave out --budget"),
        (["a", "--video", "-1"], "wanted a number of images"),
    ],
)
def test_eval_refuses_what_does_not_go_together(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(evaluation, *arguments, capsys=capsys)


def _start(runs: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "train.py"), "--runs", str(runs), "--name", "long"]
    return subprocess.Popen(
        [*command, "--total-timesteps", "1e8", *TINY, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_training(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the first row of progress is written."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        progress = folder / "progress.csv"
        if progress.exists() and progress.read_text().count("\n") > 3:
            return
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[1])


def test_ctrl_c_saves_and_says_how_to_resume(tmp_path: Path) -> None:
    process = _start(tmp_path)
    folder = tmp_path / "GlimpseDigits-MultiCat-v0" / "long"
    _wait_for_training(process, folder)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors
    assert f"--resume {folder}" in output and (folder / "model.zip").exists()

    rows = (folder / "progress.csv").read_text().count("\n")
    saved = int(output.split("saved at ")[1].split(" of")[0].replace(",", ""))
    more = saved + 1024
    result = run("train.py", "--resume", folder, "--total-timesteps", more, "--no-video")
    assert result.returncode == 0, result.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["timesteps"] >= more
    assert (folder / "progress.csv").read_text().count("\n") >= rows  # the curve goes on


def test_resume_after_a_kill_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    process = _start(tmp_path)
    folder = tmp_path / "GlimpseDigits-MultiCat-v0" / "long"
    deadline = time.monotonic() + 90
    while not (folder / "model.zip").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.kill()
    process.communicate()
    (folder / ".model.123.zip").write_bytes(b"killed while it was written")
    result = run("train.py", "--runs", tmp_path, "--resume", "--total-timesteps", 600, "--no-video")
    assert result.returncode == 0, result.stderr
    assert json.loads((folder / "metrics.json").read_text())["timesteps"] > 600
    assert not list(folder.glob(".*"))


def test_a_full_disk_keeps_the_last_checkpoint(trained: Path, tmp_path: Path) -> None:
    before = (trained / "model.zip").read_bytes()

    def limit() -> None:  # a write beyond 200 kB fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    message = fails("--resume", trained, "--total-timesteps", 1024, preexec_fn=limit)
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
        (["--set", "policy_kwargs.lstm=1"], "lstm"),
        (["--set", "budget"], "wanted KEY=VALUE"),
        (["--recipe", "nowhere/ppo.yml"], "cannot be read"),
        (["--set", "n_steps=many"], "got n_steps='many'; wanted a number"),
        (["--set", "learning_rat=1", "--set", "n_epochs=1"], "'learning_rate'"),
        (["--set", "callback=os.getcwd"], "--packages"),
        (["--total-timesteps", "nan"], "n_timesteps"),
        (["--device", "abacus"], "cannot be used"),
        (["--name", "../x"], "wanted a plain name"),
        (["--packages", "nowhere"], "does not import"),
        (["--resume", "nowhere"], "not a run directory"),
        (["--resume", "--env", "x", "--n-envs", "3"], "leave out --env, --n-envs"),
    ],
)
def test_wrong_arguments_get_a_message_and_leave_nothing(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(train, *arguments, "--runs", tmp_path / "runs", capsys=capsys)
    assert not (tmp_path / "runs").exists()


def test_a_message_comes_without_a_traceback(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert "did you mean 'digits'" in fails("--dataset", "digit", "--runs", runs)
    assert not runs.exists()


def test_a_relative_image_folder_is_found_from_anywhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("dark", "bright"):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for k in range(10):
            pixels = rng.integers(0, 100, (16, 16), dtype=np.uint8) + 150 * (name == "bright")
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")
    arguments = ["--dataset", "folder:pictures", "--total-timesteps", 128, "--name", "x"]
    result = run("train.py", *arguments, *TINY, "--no-video", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "runs" / "GlimpseDigits-MultiCat-v0" / "x"
    result = run("eval.py", folder, "--quick", "--json", cwd="/")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["n_images"] == 4


def test_a_strangers_run_imports_nothing_of_his(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes((trained / "model.zip").read_bytes())
    config = yaml.safe_load((trained / "config.yml").read_text())
    config["recipe"]["callback"] = {"subprocess.call": {"args": ["touch", str(tmp_path / "x")]}}
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    assert "--packages" in fails("--resume", tmp_path, "--total-timesteps", 1024)
    config["recipe"]["policy"] = "this.s"
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    assert "'this.s'" in fails(tmp_path, script="eval.py")
    assert not (tmp_path / "x").exists()


def test_no_data_and_no_network_gives_three_ways_on(tmp_path: Path) -> None:
    environment = {**os.environ, "GLIMPSE_DATA_DIR": str(tmp_path), "https_proxy": "127.0.0.1:9"}
    message = fails("--env", "GlimpseCIFAR-MultiCat-v0", env=environment)
    assert "GLIMPSE_DATA_DIR" in message and "--dataset digits" in message
    assert str(tmp_path / "cifar10.npz") in message and "pack_dataset" in message


def test_a_broken_run_directory_says_what_is_wrong(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yml").write_text((trained / "config.yml").read_text())
    assert "no model.zip" in fails(tmp_path, script="eval.py")
    (tmp_path / "model.zip").write_bytes((trained / "model.zip").read_bytes()[:5000])
    assert "broken" in refused(evaluation, tmp_path, capsys=capsys)
    config = yaml.safe_load((trained / "config.yml").read_text())
    config["recipe"]["policy_kwargs"]["features_extractor_kwargs"]["glimpse_dim"] = 32
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    (tmp_path / "model.zip").write_bytes((trained / "model.zip").read_bytes())
    assert "does not fit" in refused(evaluation, tmp_path, capsys=capsys)
    config["dataset"]["digest"] = "0"
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    assert "has changed" in refused(evaluation, tmp_path, capsys=capsys)
    del config["recipe"]
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    assert "lacks recipe" in refused(evaluation, tmp_path, capsys=capsys)


def test_a_run_in_training_is_left_alone_by_a_second_process(tmp_path: Path) -> None:
    process = _start(tmp_path)
    folder = tmp_path / "GlimpseDigits-MultiCat-v0" / "long"
    try:
        _wait_for_training(process, folder)
        before = (folder / "config.yml").read_text()
        assert "another process" in fails("--resume", folder, "--total-timesteps", 9999)
        assert (folder / "config.yml").read_text() == before
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
