"""Exact evaluation: every image once, the same as stepping the single environment."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_envs.strategies import Centre, Fixed, Grid, ScriptedGaze, Uniform, Walk, scripted
from glimpse_lab.evaluation.rollout import evaluate, evaluate_gaze, record
from policies import GlimpseLstmPolicy, GlimpsePolicy
from policies.classifier.model import TorchClassifier, View

ENV_ID = "GlimpseDigits-GreedyMap-v0"


@pytest.fixture(scope="module")
def model() -> RecurrentPPO:
    env = GlimpseVecEnv(ENV_ID, 8, seed=0)
    model = RecurrentPPO(GlimpseLstmPolicy, env, n_steps=16, batch_size=64, n_epochs=1, seed=0)
    return model.learn(256)


def config(env_id: str = ENV_ID, **changes: object) -> GlimpseConfig:
    return make_config(**{**registered_kwargs(env_id), "split": "validation", **changes})


def test_every_image_of_the_split_is_shown_once_in_order(model: RecurrentPPO) -> None:
    counts: list[int] = []
    episodes = evaluate(model, config(), progress=counts.append)
    assert np.array_equal(episodes.labels, config().shown_split.labels)
    assert sum(counts) == len(episodes.labels) == 144


def test_evaluation_equals_stepping_the_single_environment(model: RecurrentPPO) -> None:
    episodes = evaluate(model, config())
    env = gymnasium.make(ENV_ID, split="validation")
    for image in range(12):
        observation, info = env.reset(options={"index": image})
        state, start, terminated, total = None, np.ones(1, bool), False, 0.0
        while not terminated:
            action, state = model.predict(observation, state, start, deterministic=True)
            observation, reward, terminated, _, info = env.step(action)
            start, total = np.zeros(1, bool), total + reward
        assert episodes.predictions[image] == info["prediction"]
        assert episodes.n_glimpses[image] == info["n_glimpses"]
        assert episodes.samples[image] == info["samples"]
        assert episodes.coverage[image] == np.float32(info["coverage"])
        assert episodes.rewards[image] == total


def test_random_gaze_keeps_the_decisions_and_repeats_by_seed(model: RecurrentPPO) -> None:
    near = config(start="centre")
    one, same, other = (evaluate(model, near, random_gaze=True, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.coverage, same.coverage)
    assert not np.array_equal(one.coverage, other.coverage)


def test_a_film_has_equal_frames_and_ends_when_all_have_ended(model: RecurrentPPO) -> None:
    film = record(model, config(budget=3), np.array([0, 5, 7]), hold=2)
    assert len({frame.shape for frame in film}) == 1
    assert np.array_equal(film[-1], film[-3])
    assert 2 + 2 <= len(film) <= 1 + 4 + 2  # reset, steps, hold


def test_a_model_of_another_environment_is_refused(model: RecurrentPPO) -> None:
    with pytest.raises(ValueError, match="does not fit the environment"):
        evaluate(model, config("GlimpseDigits-MultiCat-v0"))
    with pytest.raises(ValueError, match="does not fit the environment"):
        evaluate(model, config(sensor={"type": "Crop", "size": 6}))


def test_a_hybrid_agent_without_memory_plays_too() -> None:
    env_id = "GlimpseDigits-Hybrid-v0"
    env = GlimpseVecEnv(env_id, 4, seed=0)
    model = PPO(GlimpsePolicy, env, n_steps=8, batch_size=32, n_epochs=1, seed=0).learn(64)
    episodes = evaluate(model, config(env_id), random_gaze=True)
    assert len(episodes.labels) == 144


# ---- a scripted gaze ----

BUDGET = 4


def watched(env_id: str = ENV_ID, **changes: object) -> GlimpseConfig:
    """An environment with a small classifier."""
    reader = TorchClassifier(View.of(config()), "gru", hidden_size=8)
    with th.no_grad():
        reader.readout.weight.mul_(100.0)  # so that images are told apart
    return config(env_id, **{"classifier": reader, "budget": BUDGET, **changes})


@pytest.mark.parametrize("strategy", [Centre(), Grid(2), Fixed(((0.2, 0.3, 1.0), (0.7, 0.6, 0.5)))])
@pytest.mark.parametrize("scheme", ["GreedyMap", "Hybrid"])
def test_evaluating_a_gaze_equals_stepping_the_scripted_environment(
    strategy: ScriptedGaze, scheme: str
) -> None:
    settings = watched(f"GlimpseDigits-{scheme}-v0", start="random")
    counts: list[int] = []
    episodes = evaluate_gaze(strategy, settings, progress=counts.append)
    np.testing.assert_array_equal(episodes.labels, settings.shown_split.labels)
    assert sum(counts) == 144 and (episodes.n_glimpses == BUDGET).all()
    parts = {name: getattr(scripted(settings), name) for name in GlimpseConfig.__annotations__}
    env = gymnasium.make("GlimpseDigits-GreedyMap-v0", **parts)
    rng = np.random.default_rng(0)
    for image in range(8):
        observation, info = env.reset(options={"index": image})
        answers, terminated, step = [info["prediction"]], False, 0
        while not terminated:
            gaze = strategy(step, observation["gaze"][None], settings, rng)[0]
            observation, reward, terminated, _, info = env.step(gaze)
            answers.append(info["prediction"])
            step += 1
        assert episodes.answers[image].tolist() == answers
        assert episodes.predictions[image] == info["prediction"]
        assert episodes.coverage[image] == np.float32(info["coverage"])
        assert episodes.samples[image] == info["samples"] and episodes.rewards[image] == reward


def test_random_gazes_repeat_by_seed_and_show_the_same_images() -> None:
    near = watched(start="centre")
    one, same, other = (evaluate_gaze(Uniform(), near, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.coverage, same.coverage)
    np.testing.assert_array_equal(one.answers, same.answers)
    assert not np.array_equal(one.coverage, other.coverage)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.answers[:, 0], other.answers[:, 0])  # the first is not drawn


def test_another_classifier_may_answer() -> None:
    settings = watched(classifier=None)
    blind = evaluate_gaze(Walk(), settings)
    assert (blind.answers == 0).all()  # it believes in all classes alike, and names the first
    reader = watched().classifier
    seen = evaluate_gaze(Walk(), settings, classifier=reader)
    own = evaluate_gaze(Walk(), watched(classifier=reader))
    np.testing.assert_array_equal(seen.answers, own.answers)
    assert len(np.unique(seen.answers)) > 1


def test_an_evaluation_may_end_after_some_images(model: RecurrentPPO) -> None:
    for episodes, whole in (
        (evaluate(model, config(), index=20), evaluate(model, config())),
        (evaluate_gaze(Grid(2), watched(), index=20), evaluate_gaze(Grid(2), watched())),
    ):
        np.testing.assert_array_equal(episodes.labels, whole.labels[:20])
        np.testing.assert_array_equal(episodes.answers, whole.answers[:20])
    assert len(evaluate_gaze(Grid(2), watched(), index=10**6).labels) == 144


def test_scanpaths_are_what_the_single_environment_shows() -> None:
    """Gaze, windows, coverage, beliefs and rewards, glimpse by glimpse, beside the stepped one."""
    shown = config("GlimpseDigits-MultiCat-v0", classifier="canvas", reward="InformationGain")
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 4, seed=0, classifier=shown.classifier)
    model = PPO(GlimpsePolicy, env, n_steps=8, batch_size=16, seed=0)
    paths = evaluate(model, shown, index=np.array([5, 3]), record_hidden=True)
    assert paths.hidden.shape == (2, shown.budget, shown.classifier.hidden_size)
    env = gymnasium.make(
        "GlimpseDigits-MultiCat-v0",
        split="validation",
        classifier=shown.classifier,
        observe_classifier_features=True,
        reward="InformationGain",
    )
    for row, image in enumerate((5, 3)):
        observation, info = env.reset(options={"index": image})
        assert paths.labels[row] == info["label"]
        terminated, t = False, 0
        while not terminated:
            assert np.array_equal(paths.gaze[row, t], observation["gaze"])
            assert paths.beliefs[row, t] == pytest.approx(observation["belief"], abs=1e-5)
            assert paths.hidden[row, t] == pytest.approx(
                observation["classifier_features"], abs=1e-4
            )
            seen = {
                key: value for key, value in observation.items() if key != "classifier_features"
            }
            action, _ = model.predict(seen, deterministic=True)
            observation, reward, terminated, _, info = env.step(action)
            assert paths.step_rewards[row, t] == pytest.approx(reward, abs=1e-5)
            t = int(info.get("n_glimpses", t + 2)) - 1 if terminated else t + 1
        assert paths.seen[row, paths.n_glimpses[row] - 1] == paths.coverage[row]
        left, top, side = paths.windows[row, 0]
        assert (left, top, side) == (0, 0, 48)
        assert np.isnan(paths.gaze[row, paths.n_glimpses[row] :]).all()
