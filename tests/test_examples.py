"""The examples on a tiny budget."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from scripts import load_script, succeed

from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.classifiers import training_of
from glimpse_lab.graph.recipe import saccade_recipe
from glimpse_lab.models import make_model


def run(script: str, *arguments: object) -> str:
    """Run an example that must succeed; return what it printed."""
    path = f"examples/{script}"
    return succeed(load_script(path).main, *arguments, name=path)


def test_the_single_file_loop_trains() -> None:
    output = run("cleanrl_ppo.py", "--total-timesteps", 2048, "--num-envs", 32)
    lines = re.findall(r"([\d,]+) steps  accuracy (\d\.\d+)  glimpses (\d\.\d+)", output)
    assert lines[-1][0] == "2,048" and len(lines) == 4
    assert all(1.0 <= float(glimpses) <= 4.0 for *_, glimpses in lines)


@pytest.mark.slow
def test_the_single_file_loop_learns() -> None:
    output = run("cleanrl_ppo.py", "--total-timesteps", 200_000)
    accuracies = [float(found) for found in re.findall(r"accuracy (\d\.\d+)", output)]
    assert accuracies[0] < 0.2 and accuracies[-1] > 0.7


needs_torchrl = pytest.mark.skipif(
    importlib.util.find_spec("torchrl") is None,
    reason='needs TorchRL, which the test extra leaves out: pip install -e ".[torchrl]"',
)
PIPELINES = ["cleanrl_pipeline.py", pytest.param("torchrl_pipeline.py", marks=needs_torchrl)]


@pytest.mark.parametrize("script", PIPELINES)
def test_a_pipeline_trains_saccader_and_classifier_and_evaluates_both(script: str) -> None:
    output = run(script, "--scene", "Plain", "--total-timesteps", 2560, "--pretraining", 6_400)
    assert re.findall(r"([\d,]+) steps  reward -?\d\.\d+", output) == ["2,560"]
    found = re.findall(r"(\w+) gaze: (\d+\.\d+)% \(\d+\.\d+% to \d+\.\d+%\)", output)
    assert [name for name, _ in found] == ["learned", "random"]
    assert all(float(accuracy) > 40.0 for _, accuracy in found)  # by chance 10 %


@pytest.mark.slow
@pytest.mark.parametrize("script", PIPELINES)
def test_the_gaze_of_a_pipeline_beats_a_random_one(script: str) -> None:
    short = ["--total-timesteps", 51_200, "--pretraining", 25_600]
    output = run(script, "--env", "GlimpseDigits-RAM-v0", *short)
    learned, drawn = (float(found) for found in re.findall(r"gaze: (\d+\.\d+)%", output))
    assert learned > drawn


@pytest.mark.parametrize("script", PIPELINES)
def test_a_pipeline_has_network_and_settings_of_the_recipe(script: str) -> None:
    module, recipe = load_script(f"examples/{script}"), saccade_recipe()
    assert {**module.ENV, "classifier": module.CLASSIFIER} == recipe["env_kwargs"]
    assert module.COTRAINING == training_of(recipe)
    assert recipe["n_timesteps"] == module.TIMESTEPS
    assert (module.N_ENVS, module.N_STEPS, module.N_EPOCHS, module.BATCH) == tuple(
        recipe[key] for key in ("n_envs", "n_steps", "n_epochs", "batch_size")
    )
    assert recipe["learning_rate"] == f"lin_{module.LEARNING_RATE:.0e}".replace("e-0", "e-")
    assert (module.GAMMA, module.LAMBDA) == (recipe["gamma"], recipe["gae_lambda"])
    assert recipe["ent_coef"] == 0.0
    env = GlimpseVecEnv("GlimpseDigits-Saccade-v0", n_envs=2, **recipe["env_kwargs"])
    model = make_model("ppo", recipe, env, seed=0, device="cpu")
    assert (module.CLIP, module.VALUE) == (model.clip_range(1.0), model.vf_coef)
    assert module.MAX_NORM == model.max_grad_norm
    assert pytest.approx(module.DEVIATION) == model.policy.log_std.exp().tolist()[0]
    spaces = env.observation_space, env.action_space
    agent = module.Agent(*spaces) if "cleanrl" in script else module.make_agent(spaces[0])
    theirs = [p for name, p in model.policy.named_parameters() if name != "log_std"]
    norms = [sorted(round(float(p.norm()), 3) for p in ps) for ps in (agent.parameters(), theirs)]
    assert norms[0] == norms[1]  # of orthogonal matrices: sizes and gains


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason='needs Ray, which the test extra leaves out: pip install -e ".[ray]"',
)
def test_rllib_trains_saves_and_goes_on(tmp_path: Path) -> None:
    tiny = ["--env", "GlimpseDigits-MultiCat-v0", "--lanes", 32, "--runs", tmp_path]
    tiny += ["--trunk", "gru", "--name", "tiny", "--total-timesteps", 1000, "--set"]
    tiny += ["callback.CoTrainingCallback.pretraining=256", "n_steps=16", "batch_size=256"]
    output = run("rllib_ppo.py", *tiny)
    steps = re.findall(r"([\d,]+) steps  accuracy \d\.\d+", output)
    assert len(steps) == 2 and re.search(r"accuracy +\d+\.\d+ %", output)
    folder = tmp_path / "GlimpseDigits-MultiCat-v0" / "tiny"
    assert {"metrics.json", "model.zip"} <= {file.name for file in folder.iterdir()}
    again = run("rllib_ppo.py", "--resume", folder, "--total-timesteps", 1500)
    assert len(re.findall(r"steps  accuracy", again)) == 1
