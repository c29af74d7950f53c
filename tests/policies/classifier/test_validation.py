"""Episodes of an agent on validation images, and the temperatures that are fitted to them."""

import numpy as np
import pytest
import torch as th
from episodes import classifier, quadrants
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize

from glimpse_envs.sb3 import GlimpseVecEnv
from policies import GlimpsePolicy
from policies.classifier import calibration, joint_training
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.validation import plays_as_shown, validation_episodes

LANES, STEPS = 8, 8


def make_env(env_id: str = "GlimpseDigits-MultiCat-v0") -> GlimpseVecEnv:
    parts = {"dataset": quadrants(), "scene": "Plain", "sensor": {"type": "Crop", "size": 8}}
    return GlimpseVecEnv(env_id, LANES, seed=0, classifier=classifier("gru"), budget=3, **parts)


def make_model(env: VecEnv) -> PPO:
    settings = {"n_steps": STEPS, "batch_size": 32, "n_epochs": 1}
    kwargs = {"features_extractor_kwargs": {"encoder": "none"}}
    return PPO(GlimpsePolicy, env, seed=0, policy_kwargs=kwargs, **settings)


@pytest.mark.parametrize("scheme", ["MultiCat", "Saccade", "Hybrid"])
@pytest.mark.parametrize("n", [5, 1000])
def test_an_agent_plays_each_validation_image_once_at_most(scheme, n):
    env = make_env(f"GlimpseDigits-{scheme}-v0")
    model, config = make_model(env), env.config
    episodes = validation_episodes(model, config, n, seed=3)
    split = config.dataset.validation
    assert len(episodes.labels) == min(n, len(split)) == len(episodes.counts)
    assert 1 <= episodes.counts.min() and episodes.counts.max() <= config.budget
    found = set()
    for row, count in enumerate(episodes.counts):
        same = np.ones(len(split), bool)
        for t in range(count):
            gaze = episodes.gaze[row, [t]].repeat(len(split), 0)
            seen = config.sensor(split.images, gaze)
            same &= (seen == episodes.glimpses[row, t]).all((1, 2, 3))
        found.add(int(same.nonzero()[0][0]))
        assert split.labels[same.nonzero()[0][0]] == episodes.labels[row]
    assert len(found) == len(episodes.labels)


def test_an_agents_environment_is_known_behind_a_monitor_alone():
    env = make_env()
    assert plays_as_shown(env) and plays_as_shown(VecMonitor(env))
    assert plays_as_shown(make_model(VecMonitor(env)).get_env())
    assert not plays_as_shown(VecNormalize(env, norm_obs=False))


@pytest.mark.parametrize(("wrap", "wanted"), [(VecMonitor, "agent"), (VecNormalize, "script")])
def test_the_belief_is_calibrated_anew_after_each_tenth_of_the_training(wrap, wanted, monkeypatch):
    played, fitted = [], []

    def watched(name: str, given: str) -> None:
        play = getattr(joint_training, given)
        monkeypatch.setattr(joint_training, given, lambda *a: played.append(name) or play(*a))

    watched("agent", "validation_episodes")
    watched("script", "scripted_validation_episodes")
    calibrate = joint_training.calibrate

    def noted(reader, episodes) -> None:
        calibrate(reader, episodes)
        fitted.append(reader.temperatures.clone())

    monkeypatch.setattr(joint_training, "calibrate", noted)
    monkeypatch.setattr(calibration, "_FEWEST", 1)  # of few validation images
    callback = CoTrainingCallback(pretraining=64, batch_size=16, epochs=2.0, bfloat16=False)
    model = make_model(wrap(make_env()))
    model.learn(20 * LANES * STEPS, callback=callback)
    assert played == [wanted] * len(fitted) and 9 <= len(fitted) <= 10
    assert not all(th.equal(fitted[0], later) for later in fitted[1:])
