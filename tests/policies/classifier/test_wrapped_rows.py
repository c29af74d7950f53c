"""What the classifier reads anew reaches the agent as the wrappers would have it."""

from collections.abc import Callable

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import (
    VecCheckNan,
    VecEnv,
    VecEnvWrapper,
    VecMonitor,
    VecNormalize,
)

from glimpse_envs.sb3 import GlimpseVecEnv
from policies import CoTrainingCallback, GlimpsePolicy

KEYS = ("belief", "classifier_features")


class Halved(VecEnvWrapper):
    """Halves the belief."""

    def _changed(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**observation, "belief": observation["belief"] / 2}

    def reset(self) -> dict[str, np.ndarray]:
        return self._changed(self.venv.reset())

    def step_wait(self) -> tuple:
        observation, *rest = self.venv.step_wait()
        return self._changed(observation), *rest


def train(wrap: Callable[[VecEnv], VecEnv]) -> tuple[PPO, VecEnv, GlimpseVecEnv]:
    base = GlimpseVecEnv(
        "GlimpseDigits-MultiCat-v0",
        4,
        seed=0,
        classifier={"type": "canvas", "width": 4},
        observe_classifier_features=True,
    )
    env = wrap(base)
    model = PPO(GlimpsePolicy, env, n_steps=16, batch_size=32, n_epochs=1, seed=0)
    model.learn(128, callback=CoTrainingCallback(pretraining=64, batch_size=32, epochs=2))
    return model, env, base


@pytest.mark.parametrize("wrap", [lambda env: env, VecMonitor, VecCheckNan])
def test_wrappers_that_change_nothing_are_looked_through(wrap: Callable) -> None:
    model, _, base = train(wrap)
    raw = base.core.observation()
    for key in KEYS:
        np.testing.assert_array_equal(model._last_obs[key], raw[key])


@pytest.mark.parametrize("keys", [["belief"], ["belief", "classifier_features", "gaze"]])
@pytest.mark.parametrize("norm_obs", [True, False])
def test_rows_pass_through_a_normalization(keys: list[str], norm_obs: bool) -> None:
    model, env, base = train(
        lambda env: VecMonitor(VecNormalize(env, norm_obs=norm_obs, norm_obs_keys=keys))
    )
    raw, normalization = base.core.observation(), env.venv
    passed = normalization.normalize_obs(raw)
    for key in KEYS:
        np.testing.assert_allclose(model._last_obs[key], passed[key], rtol=1e-6)
        np.testing.assert_array_equal(normalization.get_original_obs()[key], raw[key])
    assert norm_obs != np.array_equal(model._last_obs["belief"], raw["belief"])


def test_other_changes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"wrappers change 'belief' .*Halved\)"):
        train(Halved)


def test_training_goes_on_after_the_classifier_was_changed_outside() -> None:
    model, _, base = train(VecMonitor)
    for weight in base.config.classifier.parameters():
        weight.data.mul_(0.5)
    model.learn(
        64,
        callback=CoTrainingCallback(pretraining=0, batch_size=32),
        reset_num_timesteps=False,
    )
    np.testing.assert_array_equal(model._last_obs["belief"], base.core.observation()["belief"])
