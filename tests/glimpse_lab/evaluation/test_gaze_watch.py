"""The gaze is watched in training: logged, warned of where it is stuck, and left as it is."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.logger import CSVOutputFormat, Logger
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

import glimpse_lab
from glimpse_envs.metrics.gaze_statistics import collapse
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.evaluation.gaze_watch import GazeWatch
from policies import GlimpsePolicy

KWARGS = {"encoder": "mlp", "glimpse_dim": 8, "where_dim": 8, "encoded_dim": 8}


def lanes(n: int) -> GlimpseVecEnv:
    classifier = {"type": "gru", "encoder": "mlp", "hidden_size": 8, "seed": 0}
    return GlimpseVecEnv("GlimpseDigits-Saccade-v0", n, seed=0, budget=3, classifier=classifier)


def trained(tmp_path: Any, watch: GazeWatch | None, *, stuck: bool = False) -> Any:
    """A small saccader after four updates; one that is stuck looks into a corner."""
    env = VecMonitor(lanes(8))
    policy_kwargs = {"features_extractor_kwargs": KWARGS, "learn_std": False, "action_gain": 1.0}
    model = PPO(
        GlimpsePolicy, env, n_steps=8, batch_size=32, seed=0, device="cpu",
        policy_kwargs=policy_kwargs, learning_rate=0.0 if stuck else 1e-3,
    )  # fmt: skip
    if stuck:
        with th.no_grad():
            model.policy.action_net.weight.zero_()
            model.policy.action_net.bias.fill_(-1.0)
    model.set_logger(Logger(None, [CSVOutputFormat(str(tmp_path / "progress.csv"))]))
    return model.learn(256, callback=watch, log_interval=1)


def logged(tmp_path: Any, name: str) -> list[float]:
    rows = csv.DictReader((tmp_path / "progress.csv").open())
    return [float(row[name]) for row in rows if row.get(name)]


def test_it_logs_and_leaves_the_training_as_it_is(tmp_path: Any) -> None:
    plain = trained(tmp_path, None)
    watch = GazeWatch(n_images=20, share=1.0)
    watched = trained(tmp_path, watch)
    for name, weight in plain.policy.state_dict().items():
        th.testing.assert_close(watched.policy.state_dict()[name], weight, rtol=0, atol=0)
    # 20 images of 3 glimpses are 60 timesteps, an update is 64: after each but the last
    for name, (low, high) in {
        "gaze/path_bits": (0, 10), "gaze/commonest_share": (0, 1), "validation/accuracy": (0, 1),
    }.items():  # fmt: skip
        values = np.array(logged(tmp_path, name))
        assert len(values) == 3 and ((low <= values) & (values <= high)).all()
    assert watch.last is not None


@pytest.mark.parametrize(("share", "times"), [(0.25, 0), (0.5, 1)])  # every 240 or 120 timesteps
def test_it_costs_at_most_its_share(tmp_path: Any, share: float, times: int) -> None:
    watch = GazeWatch(n_images=20, share=share)
    trained(tmp_path, watch)
    assert len(logged(tmp_path, "gaze/path_bits")) == times
    assert (watch.last is not None) == bool(times)


def test_a_resumed_training_keeps_the_intervals(tmp_path: Any) -> None:
    model = trained(tmp_path, None)  # to 256 timesteps, and the next multiple of 300 is near
    watch = GazeWatch(n_images=20, share=0.2)
    model.learn(128, callback=watch, reset_num_timesteps=False)
    assert watch.last is not None


def test_hardly_any_fixation_is_no_stuck_gaze(
    tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an agent that answers after the first glimpse of nearly all images."""

    def few(paths: Any) -> Any:
        return replace(collapse(paths), n_fixations=1)

    monkeypatch.setattr("glimpse_lab.evaluation.gaze_watch.collapse", few)
    watch = GazeWatch(n_images=20, share=1.0)
    trained(tmp_path, watch, stuck=True)
    assert watch.last.collapsed and "stuck" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("env_id", "settings"),
    [
        ("GlimpseDigits-MultiCat-v0", {"classifier": "none"}),  # RecurrentPPO, the agent answers
        ("GlimpseDigits-Hybrid-v0", {"classifier": "none"}),  # Dict actions
        ("GlimpseDigits-Saccade-v0", {}),  # a classifier beside the agent
    ],
)
def test_every_training_is_watched(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, env_id: str, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr("glimpse_lab.api.GazeWatch", partial(GazeWatch, n_images=5, share=1.0))
    small = {"n_envs": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1, "n_timesteps": 96}
    overrides = {**small, "env_kwargs.budget": 2}
    if settings.get("classifier") != "none":
        overrides |= {"callback.CoTrainingCallback.pretraining": 256}
    run = glimpse_lab.train(env_id, overrides=overrides, runs=tmp_path, video=False, **settings)
    assert len(logged(run.path, "validation/accuracy")) == 2


def test_a_gaze_that_is_stuck_is_said_once(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = GazeWatch(n_images=20, share=1.0)
    trained(tmp_path, watch, stuck=True)
    output = capsys.readouterr().out
    assert output.count("the gaze is stuck") == 1
    assert "at 128 timesteps: 100% of the 40 fixations" in output
    assert watch.last.collapsed and logged(tmp_path, "gaze/path_bits") == [0.0, 0.0, 0.0]


def test_a_gaze_that_moves_is_not_stuck(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path, GazeWatch(n_images=20, share=1.0))
    assert "stuck" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings", [{"n_images": 0}, {"n_images": 50.5}, {"share": 0.0}, {"share": 1.5}]
)
def test_wrong_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="|".join(settings)):
        GazeWatch(**settings)


def test_it_needs_to_see_what_the_agent_sees() -> None:
    env = VecNormalize(lanes(2))
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=8)
    with pytest.raises(ValueError, match="without wrappers"):
        GazeWatch().init_callback(model)
