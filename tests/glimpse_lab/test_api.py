"""From Python what the scripts do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import ENV_ID, SMALL
from scripts import succeed

import glimpse_lab
from glimpse_lab.cli import eval as evaluation
from glimpse_lab.evaluation.storage import to_json
from glimpse_lab.runs import Run
from glimpse_lab.training import TrainingStoppedError

ROOT = Path(__file__).parents[2]
TRAINING = {"policies.CoTrainingCallback": {"pretraining": 64, "batch_size": 32}}
OVERRIDES = {
    **SMALL,
    "callback": [TRAINING],
    "env_kwargs.classifier": {"type": "canvas", "width": 8},
    "env_kwargs.budget": 3,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> glimpse_lab.Run:
    return glimpse_lab.train(
        ENV_ID,
        seed=4,
        overrides=OVERRIDES,
        total_timesteps=128,
        n_envs=8,
        runs=tmp_path_factory.mktemp("runs"),
        video=False,
    )


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", {"env_id": 5}, "env_id=5; wanted a text or null"),
        ("train", {"classifier": {"type": "canvas"}}, "wanted a text"),
        ("train", {"seed": True}, "wanted an integer"),
        ("train", {"overrides": "n_steps=8"}, "wanted a mapping"),
        ("train", {"overrides": {5: 1}}, "got the override 5"),
        ("train", {"runs": None}, "wanted a text or Path"),
        ("train", {"device": 5}, "wanted a text"),
        ("train", {"packages": "mine"}, "wanted a list of names"),
        ("load", {"run": 5}, "wanted Run or a text or Path"),
        ("evaluate", {"run": "x", "split": None}, "wanted a text"),
        ("evaluate", {"run": "x", "budget": "3"}, "wanted an integer"),
        ("resume", {"run": "x", "total_timesteps": float("nan")}, "wanted a number"),
        ("compare_runs", {"runs": "x"}, "wanted a list of at least two runs"),
        ("compare_runs", {"runs": None}, "wanted a list of at least two runs"),
    ],
)
def test_arguments_of_another_kind_are_refused_before_anything_is_done(
    name: str, arguments: dict[str, Any], message: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        getattr(glimpse_lab, name)(**arguments)
    assert not list(tmp_path.iterdir())


def test_settings_may_be_numbers_of_numpy() -> None:
    overrides = {"n_steps": np.int64(8), "learning_rate": np.float32(0.5)}
    config = glimpse_lab.resolve_config(ENV_ID, overrides=overrides, seed=np.int64(3))
    assert type(config.recipe["n_steps"]) is int and config.recipe["learning_rate"] == 0.5
    assert type(config.seed) is int


def test_a_trained_run_is_in_its_directory(run: glimpse_lab.Run) -> None:
    names = {file.name for file in run.path.iterdir()}
    assert {"config.yml", "model.zip", "progress.csv", "metrics.json"} <= names
    assert run.path.name == "seed4-1" and not any("video" in name for name in names)
    assert glimpse_lab.Run.open(run.path).config == run.config
    assert (run.config.seed, run.config.n_envs, run.config.n_timesteps) == (4, 8, 128)


def test_a_loaded_agent_acts(run: glimpse_lab.Run) -> None:
    model, env = glimpse_lab.load(run.path)
    assert env.config.split == "test" and env.num_envs == 8
    assert env.config.classifier.digest() == run.classifier.digest()
    observation, state, start = env.reset(), None, np.ones(env.num_envs, bool)
    for _ in range(4):
        action, state = model.predict(observation, state, start, deterministic=True)
        observation, reward, start, _ = env.step(action)
        assert reward.shape == (8,) and np.isfinite(reward).all()
    assert glimpse_lab.load(run, "train").env.config.split == "train"


def test_an_evaluation_gives_the_numbers_of_the_script(run: glimpse_lab.Run) -> None:
    result = glimpse_lab.evaluate(run.path, "validation", budget=2)
    arguments = ["--quick", "--json", "--split", "validation", "--budget", 2]
    script = json.loads(succeed(evaluation.main, run.path, *arguments, name="eval.py"))
    assert json.loads(json.dumps(to_json(result))) == {**script, "seconds": result.seconds}
    assert result.n_images == 144 and result.budget == 2


def test_a_run_goes_on_where_it_was(run: glimpse_lab.Run) -> None:
    longer = glimpse_lab.resume(run.path, total_timesteps=192, video=False)
    assert longer.config.n_timesteps == 192 and run.config.n_timesteps == 128
    assert glimpse_lab.Run.open(run.path).saved_timesteps() == 192
    assert json.loads((run.path / "metrics.json").read_text())["timesteps"] == 192


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overrides": {"gama": 0.9}}, "did you mean 'gamma'"),
        ({"overrides": {"env_kwargs.budgett": 3}}, "did you mean 'budget'"),
        ({"classifier": "frzen"}, "there is no such file"),
        ({"total_timesteps": 0}, "n_timesteps=0"),
        ({"name": "a/b"}, "wanted a plain name"),
        ({"packages": ["nowhere_at_all"]}, "does not import"),
    ],
)
def test_what_does_not_fit_leaves_nothing(arguments: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        glimpse_lab.train(ENV_ID, runs=tmp_path / "runs", **arguments)
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_none_is_refused(tmp_path: Path) -> None:
    for use in (glimpse_lab.load, glimpse_lab.evaluate, glimpse_lab.resume):
        with pytest.raises(glimpse_lab.RunError, match="not a run directory"):
            use(tmp_path)


def test_ctrl_c_saves_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("policies.callbacks.Progress._on_step", interrupted)
    overrides = {**SMALL, "env_kwargs.budget": 3, "callback": []}
    with pytest.raises(TrainingStoppedError, match=r"stopped and saved at 4 .*\n.*--resume"):
        glimpse_lab.train(
            ENV_ID, classifier="none", overrides=overrides, runs=tmp_path, name="x", video=False
        )
    assert (tmp_path / ENV_ID / "x" / "model.zip").exists()


def interrupt(*arguments: object, **settings: object) -> None:
    raise KeyboardInterrupt


def test_another_ctrl_c_while_it_is_saved_tells_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = []
    save = Run.save_model

    def save_once(run: Run, *arguments: Any) -> None:
        if saves:
            raise KeyboardInterrupt
        save(run, *arguments)
        saves.append(run)

    monkeypatch.setattr(Run, "save_model", save_once)
    monkeypatch.setattr("policies.callbacks.Progress._on_step", interrupt)
    arguments = {"overrides": {**SMALL, "env_kwargs.budget": 3, "callback": []}, "video": False}
    folder = tmp_path / ENV_ID / "x"
    with pytest.raises(TrainingStoppedError, match=r"checkpoint is kept, of 0 of .*\n.*--resume"):
        glimpse_lab.train(ENV_ID, classifier="none", runs=tmp_path, name="x", **arguments)
    assert Run.open(folder).saved_timesteps() == 0
    with pytest.raises(TrainingStoppedError, match=r"checkpoint is kept.*\n.*--resume"):
        glimpse_lab.resume(folder, video=False)


def test_ctrl_c_before_the_first_checkpoint_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "save_model", interrupt)
    with pytest.raises(TrainingStoppedError, match=r"no checkpoint yet.*\n.*--resume"):
        glimpse_lab.train(
            ENV_ID,
            classifier="none",
            overrides={**SMALL, "callback": []},
            runs=tmp_path,
            name="x",
            video=False,
        )
    monkeypatch.undo()
    run = glimpse_lab.resume(tmp_path / ENV_ID / "x", total_timesteps=64, video=False)
    assert run.saved_timesteps() == 64  # what it said works


def test_names_are_loaded_when_they_are_used() -> None:
    code = "import glimpse_lab, sys; assert 'torch' not in sys.modules; print(dir(glimpse_lab))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "'train'" in result.stdout
    for name in glimpse_lab.__all__:
        assert getattr(glimpse_lab, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = glimpse_lab.trian
