"""Training a classifier in a loop of one's own, on a vector of Gymnasium."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from episodes import classifier, config, quadrants

from glimpse_envs.core import GlimpseCore
from policies import CoTraining, FunctionAgent

LANES, STEPS, EPISODE = 8, 9, 3  # steps of a rollout and of an episode
ROLLOUT = LANES * STEPS


def make_envs(reader: Any, **parts: Any) -> gymnasium.vector.VectorEnv:
    parts = {"observe_classifier_features": True, "budget": EPISODE + 1, **parts}
    envs = gymnasium.make_vec(
        "GlimpseDigits-Saccade-v0",
        num_envs=LANES,
        dataset=quadrants(),
        scene="Plain",
        sensor={"type": "Crop", "size": 8},
        classifier=reader,
        **parts,
    )
    envs.reset(seed=0)
    return envs


def cotraining(**settings: Any) -> CoTraining:
    small = {"pretraining": 64, "batch_size": 16, "random_share": 0.25, "bfloat16": False}
    return CoTraining(**{**small, **settings})


def roll(envs: gymnasium.vector.VectorEnv, n_steps: int = STEPS) -> dict[str, np.ndarray]:
    """Act at random; return the last observation."""
    for _ in range(n_steps):
        observation = envs.step(envs.action_space.sample())[0]
    return observation


def test_what_has_not_begun_is_not_updated() -> None:
    with pytest.raises(ValueError, match="update\\(\\) before begin"):
        CoTraining(pretraining=0).update(10)


def test_updates_follow_the_agents_episodes_at_a_rate_that_falls_to_zero():
    envs, rates = make_envs(classifier("gru")), []
    training = cotraining(epochs=2.0, handover=0.5, learning_rate=1e-2)
    training.begin([envs.unwrapped.core], seed=0, total_timesteps=4 * ROLLOUT)
    made, digests = [], [envs.unwrapped.config.classifier.digest()]
    for k in range(4):
        roll(envs)
        training.update((k + 1) * ROLLOUT)
        made.append(len(training.fits))
        digests.append(envs.unwrapped.config.classifier.digest())
        rates.append(training.fitter.optimizer.state_dict()["adamw"]["param_groups"][0]["lr"])
    # three episodes a lane in each rollout, but for those that had begun before: of each 12 in 16
    own = LANES * np.array([2, 5, 8, 11])
    np.testing.assert_array_equal(np.cumsum(made), 2 * own // 12)
    np.testing.assert_allclose(rates, [1e-2 * 0.5 * left for left in (1, 0.75, 0.5, 0.25)])
    assert len(set(digests)) == 5


def test_the_observations_are_those_of_the_changed_classifier():
    envs = make_envs(classifier("gru"))
    core, reader, training = (
        envs.unwrapped.core,
        envs.unwrapped.config.classifier,
        cotraining(epochs=2.0),
    )
    first = core.belief.copy()
    shown = training.begin([core], seed=0, total_timesteps=ROLLOUT)
    assert not np.allclose(first, shown["belief"])  # pretrained
    before = roll(envs, STEPS - 1)  # the episodes are under way
    shown = training.update(ROLLOUT)
    assert training.fits and not np.allclose(before["belief"], shown["belief"])
    np.testing.assert_array_equal(before["glimpse"], shown["glimpse"])
    state = reader.start(LANES)
    for t in range(core.n_glimpses[0]):
        gaze = np.ascontiguousarray(core.history[:, t])
        state, belief, hidden = reader.update(state, core.config.sensor(core.images(), gaze), gaze)
    np.testing.assert_allclose(shown["belief"], belief, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(shown["classifier_features"], hidden, rtol=1e-5, atol=1e-5)


def test_a_frozen_classifier_stays_and_collects_nothing():
    envs = make_envs(classifier("gru"))
    training = cotraining(frozen=True)
    training.begin([envs.unwrapped.core], seed=0, total_timesteps=ROLLOUT)
    digest, last = envs.unwrapped.config.classifier.digest(), roll(envs)
    shown = training.update(ROLLOUT)
    assert envs.unwrapped.config.classifier.digest() == digest
    assert not training.fits and not training.store.total
    np.testing.assert_array_equal(shown["belief"], last["belief"])


def test_after_the_end_nothing_is_collected():
    envs, training = make_envs(classifier("gru")), cotraining()
    training.end()  # which has not begun
    training.begin([envs.unwrapped.core], seed=0, total_timesteps=ROLLOUT)
    roll(envs)
    training.end()
    collected = training.store.total
    roll(envs)
    assert training.store.total == collected == 2 * LANES
    assert envs.unwrapped.config.classifier.bfloat16 is False


def test_the_belief_is_calibrated_along_the_agents_gaze_ten_times():
    envs, asked = make_envs(classifier("gru")), []

    def act(observation: dict[str, np.ndarray]) -> np.ndarray:
        asked.append(training.pretraining.n_done)
        return np.zeros((len(observation["gaze"]), 2))

    training, agent = cotraining(), FunctionAgent(act, envs.unwrapped.config)
    training.begin([envs.unwrapped.core], seed=0, total_timesteps=20 * ROLLOUT)
    assert not asked
    for k in range(20):
        before = envs.unwrapped.config.classifier.temperatures.clone()
        calls = len(asked)
        training.update((k + 1) * ROLLOUT, agent)
        calibrated = len(asked) > calls
        assert calibrated == bool(k % 2)
        changed = not before.equal(envs.unwrapped.config.classifier.temperatures)
        assert calibrated or not changed


def test_environments_without_a_classifier_are_refused():
    envs = make_envs(None, observe_classifier_features=False, reward="Terminal", scheme="GreedyMap")
    with pytest.raises(ValueError, match="CoTraining got environments with classifier None; want"):
        cotraining().begin([envs.unwrapped.core], seed=0, total_timesteps=ROLLOUT)


def test_environments_that_were_not_reset_are_refused():
    core = GlimpseCore(config(classifier=classifier("gru"), scheme="Saccade"), 2)
    with pytest.raises(ValueError, match=r"no episode was begun: call reset\(\)"):
        cotraining().begin([core], seed=0, total_timesteps=ROLLOUT)
