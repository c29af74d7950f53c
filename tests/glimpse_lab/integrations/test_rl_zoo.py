"""RL Baselines3 Zoo with our ids, policies and recipes, as commands that a user types."""

from __future__ import annotations

import argparse
import importlib.util
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from forks import call_in_fork
from images import arrays
from scripts import ROOT

from glimpse_envs import ImageDataset
from glimpse_lab.integrations import rl_zoo as zoo
from policies.classifier.model import TorchClassifier

# looked for, not imported: rl_zoo3 patches Gymnasium's TimeLimit for the whole process
if importlib.util.find_spec("rl_zoo3") is None:
    pytest.skip('needs rl_zoo3: pip install -e ".[zoo]"', allow_module_level=True)

ENV = "GlimpseDigits-MultiCat-v0"
TINY = ["n_envs:4", "n_steps:16", "batch_size:32", "n_epochs:1"]
COTRAINED = "callback:[{'policies.CoTrainingCallback':{'pretraining':64,'batch_size':32}}]"
COMMON = ["--env", ENV, "--device", "cpu", "--num-threads", "1"]


def forked(function: object, *arguments: object) -> str:
    """Call a function that must succeed in a process of its own; return what it printed."""
    status, output, errors = call_in_fork(function, *arguments)
    assert status == 0, output + errors
    return output


def ours(*arguments: object) -> str:
    """Run a command of ``python -m glimpse_lab.integrations.rl_zoo``; return what it printed."""
    return forked(zoo.main, [str(argument) for argument in arguments])


def run_module(name: str, *arguments: object) -> None:
    """What ``python -m`` does."""
    sys.argv = [name, *map(str, arguments)]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of an agent with a classifier that was trained beside it."""
    logs = tmp_path_factory.mktemp("logs")
    output = ours(
        *("train", "--algo", "ppo", "-conf", "hyperparams/ppo.yml"),
        *(*COMMON, "-f", logs, "-n", 256, "--seed", 1, "-params", *TINY, COTRAINED),
        *("--eval-freq", 128, "--save-freq", 128),
    )
    assert "classifier/loss" in output or "Saving to" in output
    return logs


def test_every_model_file_has_its_classifier(trained: Path) -> None:
    folder = trained / "ppo" / f"{ENV}_1"
    models = {file.name.removesuffix(".zip") for file in folder.glob("*.zip")}
    assert models == {ENV, "best_model", "rl_model_128_steps", "rl_model_256_steps"}
    digests = {name: _classifier(folder, name).digest() for name in models}
    # it learned between the checkpoints, so that each model needs its own
    assert digests["rl_model_128_steps"] != digests["rl_model_256_steps"]
    assert (folder / "0.monitor.csv").exists() and (folder / "evaluations.npz").exists()
    assert "TorchClassifier" not in (folder / ENV / "config.yml").read_text()


def _classifier(folder: Path, name: str) -> TorchClassifier:
    return TorchClassifier.load(folder / f"{name}.zip")


def test_enjoy_plays_test_images(trained: Path) -> None:
    output = ours(
        *("enjoy", "--algo", "ppo", *COMMON, "-f", trained, "-n", 40),
        *("--load-checkpoint", 128),
    )
    assert "Success rate:" in output and "rl_model_128_steps" in output


def environments_of_checkpoints(logs: str) -> None:
    """Print the digest of the classifier that each checkpoint's environment gets."""
    import rl_zoo3
    import rl_zoo3.utils

    import glimpse_lab.integrations.rl_zoo_manager as manager

    manager.install()
    for steps in (128, 256):
        name = rl_zoo3.utils.EnvironmentName(ENV)
        _, _, path = rl_zoo3.utils.get_model_path(0, logs, "ppo", name, False, steps)
        hyperparams, _ = rl_zoo3.get_saved_hyperparams(f"{path}/{ENV}")
        env = rl_zoo3.create_test_env(ENV, hyperparams=hyperparams, should_render=False)
        config = env.get_attr("config")[0]
        assert config.split == "test" and config.augment is None
        assert config.budget == 5 and config.observe_classifier_features
        print("found", config.classifier.digest())


def test_a_model_gets_the_classifier_that_it_was_saved_with(trained: Path, tmp_path: Path) -> None:
    folder = trained / "ppo" / f"{ENV}_1"
    logs = shutil.copytree(trained, tmp_path / "logs")
    output = forked(environments_of_checkpoints, str(logs))
    found = [line.split()[1] for line in output.splitlines() if line.startswith("found ")]
    saved = [_classifier(folder, f"rl_model_{steps}_steps").digest() for steps in (128, 256)]
    assert found == saved


@pytest.mark.slow
def test_record_video_writes_a_film(trained: Path, tmp_path: Path) -> None:
    ours(
        *("record_video", "--algo", "ppo", "--env", ENV, "-f", trained),
        *("-n", 8, "-o", tmp_path),
    )
    (film,) = tmp_path.glob("final-model-ppo-*.mp4")
    assert film.stat().st_size > 1000


@pytest.mark.slow
def test_training_goes_on_with_model_and_classifier(trained: Path, tmp_path: Path) -> None:
    model = trained / "ppo" / f"{ENV}_1" / f"{ENV}.zip"
    output = ours(
        *("train", "--algo", "ppo", "-conf", "hyperparams/ppo.yml"),
        *(*COMMON, "-f", tmp_path, "-n", 64, "-i", model, "-params", *TINY),
        *(COTRAINED.replace("'pretraining':64", "'pretraining':64,'epochs':0"), "--eval-freq", -1),
    )
    assert "Loading pretrained agent" in output
    before = _classifier(model.parent, ENV).digest()
    assert _classifier(tmp_path / "ppo" / f"{ENV}_1", ENV).digest() == before


@pytest.mark.slow
def test_the_zoos_own_train_takes_agents_without_classifier(tmp_path: Path) -> None:
    packages = ("--gym-packages", "glimpse_envs", "policies")
    output = forked(
        *(run_module, "rl_zoo3.train", "--algo", "ppo_lstm", *packages),
        *("-conf", "hyperparams/reward_alone/ppo_lstm.yml", *COMMON, "-f", tmp_path),
        *("-n", 64, "-params", *TINY, "--eval-freq", -1),
    )
    assert "Saving to" in output
    output = forked(
        *(run_module, "rl_zoo3.enjoy", "--algo", "ppo_lstm", *packages),
        *(*COMMON, "-f", tmp_path, "-n", 20, "--no-render"),
    )
    assert "Success rate:" in output


def test_the_zoos_own_train_says_what_a_classifier_needs(tmp_path: Path) -> None:
    status, _, errors = call_in_fork(
        *(run_module, "rl_zoo3.train", "--algo", "ppo"),
        *("--gym-packages", "glimpse_envs", "policies"),
        *("-conf", "hyperparams/ppo.yml", *COMMON, "-f", tmp_path, "-n", 64, "-params", *TINY),
        *("--eval-freq", -1),
    )
    assert status == 1
    assert "wanted one TorchClassifier that all share" in errors.splitlines()[-1]


def glimpse_recipes() -> list[Path]:
    """All recipe files but those of inverse action modelling, which the zoo does not train."""
    files = sorted((ROOT / "hyperparams").rglob("*.yml"))
    return [f for f in files if f.stem != "enumeration" and f.parent.name != "inverse"]


def entries(file: Path) -> list[str]:
    """The entries of a recipe file; of those that are the same by an alias the first."""
    recipes = yaml.safe_load(file.read_text())
    return list({id(recipes[name]): name for name in reversed(recipes)}.values())


def understand_every_recipe(logs: str) -> None:
    """Read all entries of these recipe files as the zoo does, and make their environments."""
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.policies import BasePolicy

    import glimpse_lab.integrations.rl_zoo_manager as manager

    understood = 0
    args = argparse.Namespace(eval_env_kwargs=None, vec_env="dummy")
    for file in glimpse_recipes():
        for env_id in entries(file):
            asked = "GlimpseDigits-GreedyMap-v0" if env_id == "default" else env_id
            made_by = manager.GlimpseExperimentManager(
                args, file.stem, asked, logs, config=str(file), verbose=0
            )
            raw, _ = made_by.read_hyperparameters()
            if isinstance(raw.get("env_kwargs", {}).get("scene"), dict):  # of pictures that large
                raw["env_kwargs"]["dataset"] = ImageDataset.from_arrays(
                    **arrays(shape=(100, 100, 3))
                )
            made, _, callbacks, _ = made_by._preprocess_hyperparams(raw)
            assert issubclass(made["policy"], BasePolicy)
            assert all(isinstance(callback, BaseCallback) for callback in callbacks)
            assert callable(made["learning_rate"])
            assert made_by.n_timesteps > 0 and "env_kwargs" not in made
            made_by.create_envs(1, no_log=True).reset()
            understood += 1
    args.vec_env = "subproc"
    made_by.env_kwargs = {"classifier": "canvas"}
    with pytest.raises(ValueError, match="got --vec-env subproc with a classifier"):
        made_by.create_envs(1)
    print("understood", understood)


def test_the_zoo_understands_every_recipe(tmp_path: Path) -> None:
    """Policies, schedules, anchors, ``default`` and callbacks of all entries of these files."""
    output = forked(understand_every_recipe, str(tmp_path))
    names = [name for file in glimpse_recipes() for name in entries(file)]
    assert int(output.rpartition("understood ")[2]) == len(names) > 20


def test_a_wrong_command_gets_a_message() -> None:
    with pytest.raises(SystemExit, match="got 'benchmark'; wanted train, enjoy, record_video"):
        zoo.main(["benchmark"])


def test_without_the_zoo_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "glimpse_lab.integrations.rl_zoo_manager", raising=False)
    monkeypatch.setitem(sys.modules, "rl_zoo3", None)
    with pytest.raises(
        SystemExit, match=r'^error: rl_zoo3 is not installed; pip install -e "\.\[zoo'
    ):
        zoo.main(["train"])
