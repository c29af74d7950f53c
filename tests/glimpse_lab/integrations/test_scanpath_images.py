"""Scanpath pictures in TensorBoard: what is written, and that training does not notice."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch as th
from PIL import Image
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab import ScanpathImages
from glimpse_lab.evaluation.rollout import record
from glimpse_lab.recipes import make_callbacks
from policies import (
    CoTrainingCallback,
    GlimpseLstmPolicy,
    GlimpsePolicy,
    PackedSequences,
)

ENV = "GlimpseDigits-MultiCat-v0"
SMALL = {"seed": 3, "n_epochs": 1, "device": "cpu"}
TINY_CNN = {"features_extractor_kwargs": {"encoder": "mlp"}}


def train(folder: Path, callbacks: list, steps: int = 128, **parts) -> BaseAlgorithm:
    env = GlimpseVecEnv(ENV, 4, budget=4, **parts)
    policy = {**TINY_CNN, "lstm_hidden_size": 16}
    model = RecurrentPPO(
        GlimpseLstmPolicy, env, n_steps=8, batch_size=16, policy_kwargs=policy, **SMALL
    )
    model.set_logger(configure(str(folder), ["tensorboard"]))
    return model.learn(steps, callback=callbacks)


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


def pixels(event) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)).convert("RGB"))


def test_images_of_the_right_size_at_the_right_timesteps(tmp_path: Path) -> None:
    callback = ScanpathImages(n_images=3, every=64)
    model = train(tmp_path, [callback])
    found = events(tmp_path)
    assert found.Tags()["images"] == ["scanpaths/images"]  # no classifier: no belief
    images = found.Images("scanpaths/images")
    assert [event.step for event in images] == [0, 64, 128]
    film = record(model, callback.config, callback.index, hold=0)
    assert {pixels(event).shape for event in images} == {film[-1].shape}
    # the last one shows the agent as it is now
    np.testing.assert_array_equal(pixels(images[-1]), film[-1])
    assert callback.config.split == "validation"


def test_the_belief_is_drawn_where_there_is_a_classifier(tmp_path: Path) -> None:
    classifier = {"type": "canvas", "width": 4}
    callbacks = [PackedSequences(), *make_callbacks(
        {"callback": [{"glimpse_lab.ScanpathImages": {"n_images": 2, "every": 1000}}]}
    )]  # fmt: skip
    train(tmp_path, callbacks, steps=64, classifier=classifier, observe_classifier_features=True)
    belief = events(tmp_path).Images("scanpaths/belief")
    assert [event.step for event in belief] == [0, 64]
    assert pixels(belief[0]).shape == (320, 500, 3)
    assert len(np.unique(pixels(belief[0]).reshape(-1, 3), axis=0)) > 10  # not an empty picture


@pytest.mark.slow
def test_training_does_not_notice(tmp_path: Path) -> None:
    """Same weights of agent and classifier with and without the callback, co-training included."""
    parts = {"classifier": {"type": "canvas", "width": 4}, "observe_classifier_features": True}
    weights = []
    for name in ("without", "with"):
        callbacks: list = [PackedSequences(), CoTrainingCallback(pretraining=64, batch_size=16)]
        if name == "with":
            callbacks.insert(1, ScanpathImages(n_images=5, every=32))
        model = train(tmp_path / name, callbacks, **parts)
        classifier = model.get_env().get_attr("config", [0])[0].classifier
        weights.append([*model.policy.parameters(), *classifier.parameters()])
    assert events(tmp_path / "with").Tags()["images"]
    assert all(th.equal(one, other) for one, other in zip(*weights, strict=True))


def test_without_tensorboard_nothing_is_played(tmp_path: Path) -> None:
    env = GlimpseVecEnv(ENV, 4, budget=2)
    model = PPO(GlimpsePolicy, env, n_steps=8, batch_size=16, policy_kwargs=TINY_CNN, **SMALL)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(32, callback=ScanpathImages())
    assert [file.name for file in tmp_path.iterdir()] == ["progress.csv"]


def test_other_environments_and_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="n_images=0; wanted an integer, at least 1"):
        ScanpathImages(n_images=0)
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1"), n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match="needs glimpse environments"):
        model.learn(8, callback=ScanpathImages())
