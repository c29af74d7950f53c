"""``train.py`` and ``eval.py`` with inverse action modelling, on a tiny budget."""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml
from PIL import Image
from scripts import call, fail, lines, succeed

import glimpse_lab
from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train as training
from glimpse_lab.kinds import GLIMPSE, INVERSE, kind_of
from glimpse_lab.recipes import RECIPES
from glimpse_lab.runs import Run

ENV_ID = "GlimpseInverseDigits-v0"
NETWORK = "policy_kwargs.features_extractor_kwargs={dim: 16, patch: 16, blocks: [cross]}"
TINY = ["--env", ENV_ID, "--set", "n_envs=16", NETWORK]

train = partial(succeed, training.main)
evaluate = partial(succeed, evaluation.main, name="eval.py")
train_fails = partial(fail, training.main)
evaluate_fails = partial(fail, evaluation.main, name="eval.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory to be read."""
    runs = tmp_path_factory.mktemp("runs")
    arguments = ["--runs", runs, "--name", "tiny", "--total-timesteps", 640, *TINY]
    status, output, errors = call(training.main, *arguments)
    assert status == 0 and "type " in output and "eval.py" in output, output + errors
    assert "reward " in errors and "accuracy" not in errors
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
        "core_seconds.json",
        "learning_curve.png",
        "confusion.png",
        "examples.png",
    }
    assert not any(name.startswith(".") for name in names)  # no temporary file is left
    config = yaml.safe_load((made / "config.yml").read_text())
    assert config["algorithm"] == "enumeration" and config["dataset"]["name"] == "digits"
    header = (made / "progress.csv").read_text().splitlines()[0]
    assert "rollout/reward" in header and "train/type_loss" in header
    metrics = json.loads((made / "metrics.json").read_text())
    assert metrics["n_images"] == 359 and metrics["timesteps"] == 640
    total = metrics["agent"]["total"]
    low, high = total["type_accuracy_ci95"]
    assert low <= total["type_accuracy"] <= high
    assert {"move x", "rotate", "brighten"} < metrics["agent"]["by_type"].keys()


def test_eval_repeats_the_evaluation_and_writes_nothing_when_quick(trained: Path) -> None:
    before = {file.name for file in trained.iterdir()}
    wanted = json.loads((trained / "metrics.json").read_text())
    found = json.loads(evaluate(trained, "--quick", "--json"))
    assert found["agent"] == wanted["agent"] and "reference" not in found
    assert {file.name for file in trained.iterdir()} == before
    result = glimpse_lab.evaluate(trained, "validation")
    assert result.n_images == 144 and result.split == "validation"


def test_eval_writes_a_page_a_film_and_registration_beside_the_agent(trained: Path) -> None:
    pytest.importorskip("skimage")
    output = evaluate(trained, "--split", "validation", "--video", 2)
    assert "registration, without learning, on the 144 images" in output
    metrics = json.loads((trained / "metrics-validation.json").read_text())
    reference = metrics["reference"]
    assert reference["n_images"] == reference["agent"]["n_images"] == 144
    assert reference["registration"]["total"]["type_accuracy"] > 0.9
    with Image.open(trained / "video-validation.gif") as film:
        assert film.n_frames >= 2
    page = (trained / "report-validation.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 2 and "data:video/mp4" in page  # no curve of training
    assert "right types by registration" in page and "move x, small" in page


def test_eval_says_what_registration_needs(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.registration", None)
    output = evaluate(trained, "--split", "validation")
    assert "no registration beside it" in output and "[registration]" in output


def test_a_stopped_training_goes_on(trained: Path) -> None:
    rows = lines(trained / "progress.csv")
    train("--resume", trained, "--total-timesteps", 960, "--no-video")
    assert Run.open(trained).saved_timesteps() == 960
    assert lines(trained / "progress.csv") > rows
    assert json.loads((trained / "metrics.json").read_text())["timesteps"] == 960


def test_planning_is_measured_and_filmed(tmp_path: Path) -> None:
    planning = ["env_kwargs.max_steps=3", "env_kwargs.changes=2"]
    output = train("--runs", tmp_path, "--name", "a", "--total-timesteps", 32, *TINY, *planning)
    assert "planning " in output and "of at most 3" in output
    run = tmp_path / ENV_ID / "a"
    plan = json.loads((run / "metrics.json").read_text())["planning"]
    assert 1.0 <= plan["mean_steps"] <= 3.0 and plan["changes"] == 2
    with Image.open(run / "video.gif") as film:
        assert film.n_frames >= 2
    assert "2 lie between the images" in evaluate(run, "--split", "validation")


def test_screens_need_no_data_set(tmp_path: Path) -> None:
    small = ["env_kwargs.similarity=Pixels", "n_envs=2"]
    arguments = ["--env", "GlimpseInverseGUI-v0", "--set", NETWORK, *small]
    config = glimpse_lab.cli.train_commands.resolve(training.parse_arguments(arguments))
    assert config.dataset is None and config.env_kwargs["dataset"] is None
    run = Run(tmp_path / "gui", config)
    run.create()
    assert Run.open(run.path).config == config
    assert run.make_env("test").reset()["before"].shape == (2, 96, 96, 3)
    message = fail(evaluation.main, run.path, "--dataset", "digits", name="eval.py")
    assert "drew its own images" in message


@pytest.mark.parametrize("name", ["ppo", pytest.param("supervised", marks=pytest.mark.slow)])
def test_references_learn_by_the_same_scripts(tmp_path: Path, name: str) -> None:
    short = ["n_steps=4", "batch_size=32", "n_epochs=1"] if name == "ppo" else []
    recipe = ["--recipe", RECIPES / "inverse" / f"{name}.yml"]
    arguments = ["--runs", tmp_path, "--name", "a", "--total-timesteps", 128, *recipe]
    train(*arguments, "--no-video", *TINY, *short)
    metrics = json.loads((tmp_path / ENV_ID / "a" / "metrics.json").read_text())
    assert metrics["algorithm"] == name and metrics["timesteps"] == 128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classifier", "none"], "got --classifier none, and inverse environments have none"),
        (["--sweep-cost", 0, 0.1], "no glimpses to pay for"),
        (["--sweep", "env_kwargs.max_steps=1,2"], "take --seeds"),
        (["--tune", 1], "got --tune"),
        (["--set", "env_kwargs.max_steps=few"], "max_steps='few'; wanted an integer"),
        (["--set", "n_steps=8"], "ActionEnumeration has no hyperparameter 'n_steps'"),
    ],
)
def test_what_makes_no_sense_in_training_is_refused(
    tmp_path: Path, arguments: list, message: str
) -> None:
    told = train_fails("--env", ENV_ID, "--runs", tmp_path, *arguments)
    assert message in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", 3], "got --budget, and GlimpseInverseDigits-v0 takes no glimpses"),
        (["--export", "a.csv", "--hidden"], "got --export, --hidden, and"),
        (["--scanpaths", 2], "got --scanpaths, and"),
        (["--pretrained", "digits"], "--pretrained stands in place of a run"),
    ],
)
def test_what_makes_no_sense_in_evaluation_is_refused(
    made: Path, arguments: list, message: str
) -> None:
    told = evaluate_fails(made, *arguments)
    assert message in told and told.count("\n") == 1


def test_inverse_runs_are_not_compared(made: Path, trained: Path) -> None:
    status, _, errors = call(evaluation.main, made, trained, "--compare", name="eval.py")
    assert status == 1 and "wanted runs of glimpse environments" in errors
    with pytest.raises(ValueError, match="takes no glimpses"):
        glimpse_lab.evaluate(made, budget=3)


def test_kinds_are_known_by_their_ids() -> None:
    assert kind_of(ENV_ID) is INVERSE and kind_of("GlimpseDigits-MultiCat-v0") is GLIMPSE
    assert kind_of("elsewhere:Unknown-v0") is GLIMPSE
    told = train_fails("--env", "GlimpseInverseDigit-v0")
    assert "did you mean 'GlimpseInverseDigits-v0'" in told


def test_stage_two_begins_with_stage_one_and_is_opened_without_it(
    trained: Path, tmp_path: Path
) -> None:
    run = glimpse_lab.train(
        "GlimpseInstructedDigits-v0",
        overrides={
            "n_envs": 16,
            "policy_kwargs.visual": str(trained / "model.zip"),
            "policy_kwargs.features_extractor_kwargs": {
                "dim": 16,
                "patch": 16,
                "blocks": ["cross"],
                "text_kwargs": {"dim": 16},
            },
        },
        total_timesteps=32,
        runs=tmp_path / "runs",
    )
    (trained / "model.zip").unlink()
    model, _ = glimpse_lab.load(run.path)
    assert model.num_timesteps == 32
    again = glimpse_lab.resume(run.path, total_timesteps=64)
    assert again.saved_timesteps() == 64
