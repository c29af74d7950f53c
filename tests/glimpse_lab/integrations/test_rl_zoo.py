"""RL Baselines3 Zoo with our ids, policies and recipes, as commands that a user types."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glimpse_lab.integrations import rl_zoo as zoo
from policies.classifier.model import TorchClassifier

# looked for, not imported: rl_zoo3 patches Gymnasium's TimeLimit for the whole process
if importlib.util.find_spec("rl_zoo3") is None:
    pytest.skip('needs rl_zoo3: pip install -e ".[zoo]"', allow_module_level=True)

ROOT = Path(__file__).parents[3]
ZOO = ("-m", "glimpse_lab.integrations.rl_zoo")
ENV = "GlimpseDigits-MultiCat-v0"
TINY = ["n_envs:4", "n_steps:16", "batch_size:32", "n_epochs:1"]
COTRAINED = "callback:[{'policies.CoTrainingCallback':{'pretraining':64,'batch_size':32}}]"
COMMON = ["--env", ENV, "--device", "cpu", "--num-threads", "1"]


def python(*arguments: object, fails: bool = False) -> str:
    """Run Python; return what it printed, of a failure what it complained about."""
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (result.returncode != 0) == fails, result.stdout + result.stderr
    return result.stderr if fails else result.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of an agent with a classifier that was trained beside it."""
    logs = tmp_path_factory.mktemp("logs")
    output = python(
        *(*ZOO, "train", "--algo", "ppo", "-conf", "hyperparams/ppo.yml"),
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
    output = python(
        *(*ZOO, "enjoy", "--algo", "ppo", *COMMON, "-f", trained, "-n", 40),
        *("--load-checkpoint", 128),
    )
    assert "Success rate:" in output and "rl_model_128_steps" in output


def test_a_model_gets_the_classifier_that_it_was_saved_with(trained: Path, tmp_path: Path) -> None:
    code = """if True:
        import json, sys
        import glimpse_lab.integrations.rl_zoo_manager as manager
        manager.install()
        import rl_zoo3
        from rl_zoo3.utils import EnvironmentName, get_model_path
        logs, env_id = sys.argv[1:]
        found = {}
        for steps in (128, 256):
            _, _, path = get_model_path(0, logs, "ppo", EnvironmentName(env_id), False, steps)
            hyperparams, stats = rl_zoo3.get_saved_hyperparams(path + "/" + env_id)
            env = rl_zoo3.create_test_env(env_id, hyperparams=hyperparams, should_render=False)
            config = env.get_attr("config")[0]
            assert config.split == "test" and config.augment is None
            assert config.budget == 5 and config.observe_classifier_features
            found[steps] = config.classifier.digest()
        print("found", json.dumps(found))
    """
    folder = trained / "ppo" / f"{ENV}_1"
    logs = shutil.copytree(trained, tmp_path / "logs")
    output = python("-c", code, logs, ENV)
    found = json.loads(output.partition("found ")[2])
    for steps, digest in found.items():
        assert digest == _classifier(folder, f"rl_model_{steps}_steps").digest()


def test_record_video_writes_a_film(trained: Path, tmp_path: Path) -> None:
    python(
        *(*ZOO, "record_video", "--algo", "ppo", "--env", ENV, "-f", trained),
        *("-n", 8, "-o", tmp_path),
    )
    (film,) = tmp_path.glob("final-model-ppo-*.mp4")
    assert film.stat().st_size > 1000


def test_training_goes_on_with_model_and_classifier(trained: Path, tmp_path: Path) -> None:
    model = trained / "ppo" / f"{ENV}_1" / f"{ENV}.zip"
    output = python(
        *(*ZOO, "train", "--algo", "ppo", "-conf", "hyperparams/ppo.yml"),
        *(*COMMON, "-f", tmp_path, "-n", 64, "-i", model, "-params", *TINY),
        *(COTRAINED.replace("'pretraining':64", "'pretraining':64,'epochs':0"), "--eval-freq", -1),
    )
    assert "Loading pretrained agent" in output
    before = _classifier(model.parent, ENV).digest()
    assert _classifier(tmp_path / "ppo" / f"{ENV}_1", ENV).digest() == before


def test_the_zoos_own_train_takes_agents_without_classifier(tmp_path: Path) -> None:
    output = python(
        *("-m", "rl_zoo3.train", "--algo", "ppo_lstm", "--gym-packages", "glimpse_envs"),
        *("policies", "-conf", "hyperparams/reward_alone/ppo_lstm.yml", *COMMON, "-f", tmp_path),
        *("-n", 64, "-params", *TINY, "--eval-freq", -1),
    )
    assert "Saving to" in output
    output = python(
        *("-m", "rl_zoo3.enjoy", "--algo", "ppo_lstm", "--gym-packages", "glimpse_envs"),
        *("policies", *COMMON, "-f", tmp_path, "-n", 20, "--no-render"),
    )
    assert "Success rate:" in output


def test_the_zoos_own_train_says_what_a_classifier_needs(tmp_path: Path) -> None:
    message = python(
        *("-m", "rl_zoo3.train", "--algo", "ppo", "--gym-packages", "glimpse_envs", "policies"),
        *("-conf", "hyperparams/ppo.yml", *COMMON, "-f", tmp_path, "-n", 64, "-params", *TINY),
        *("--eval-freq", -1),
        fails=True,
    )
    assert "wanted one TorchClassifier that all share" in message.splitlines()[-1]


def test_the_zoo_understands_every_recipe(tmp_path: Path) -> None:
    """Policies, schedules, anchors, ``default`` and callbacks of all entries of all files."""
    code = """if True:
        import argparse, sys, yaml
        from pathlib import Path
        from rl_zoo3.utils import SimpleLinearSchedule
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.policies import BasePolicy
        import glimpse_lab.integrations.rl_zoo_manager as manager
        n = 0
        args = argparse.Namespace(eval_env_kwargs=None, vec_env="dummy")
        for file in sorted(Path("hyperparams").rglob("*.yml")):
            for env_id in yaml.safe_load(file.read_text()):
                asked = "GlimpseDigits-GreedyMap-v0" if env_id == "default" else env_id
                zoo = manager.GlimpseExperimentManager(
                    args, file.stem, asked, sys.argv[1], config=str(file), verbose=0
                )
                raw, _ = zoo.read_hyperparameters()
                made, _, callbacks, _ = zoo._preprocess_hyperparams(raw)
                assert issubclass(made["policy"], BasePolicy)
                assert all(isinstance(callback, BaseCallback) for callback in callbacks)
                assert callable(made["learning_rate"])
                assert zoo.n_timesteps > 0 and "env_kwargs" not in made
                zoo.create_envs(1, no_log=True).reset()
                n += 1
        args.vec_env = "subproc"
        zoo.env_kwargs = {"classifier": "canvas"}
        try:
            zoo.create_envs(1)
        except ValueError as error:
            assert "got --vec-env subproc with a classifier" in str(error)
        else:
            raise AssertionError("processes cannot share a classifier")
        print("understood", n)
    """
    output = python("-c", code, tmp_path)
    assert int(output.rpartition("understood ")[2]) > 30


def test_a_wrong_command_gets_a_message() -> None:
    with pytest.raises(SystemExit, match="got 'benchmark'; wanted train, enjoy, record_video"):
        zoo.main(["benchmark"])


def test_without_the_zoo_the_extra_is_named() -> None:
    code = (
        "import sys; from glimpse_lab.integrations import rl_zoo; "
        "sys.modules['rl_zoo3'] = None; rl_zoo.main(['train'])"
    )
    message = python("-c", code, fails=True)
    assert message == 'error: rl_zoo3 is not installed; pip install -e ".[zoo]"\n'
