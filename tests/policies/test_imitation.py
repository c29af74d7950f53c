"""Behaviour cloning: the agent does what the scripted gaze does, and answers as often."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from episodes import config
from sb3_contrib import RecurrentPPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import VecNormalize

import glimpse_lab
from glimpse_envs.components import resolve
from glimpse_envs.core import GlimpseCore
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.strategies import Fixed, Grid, ScriptedGaze
from policies import (
    GlimpseLstmPolicy,
    GlimpsePolicy,
    GlimpseTokenPolicy,
    HybridPolicy,
    Imitation,
    PackedSequences,
)
from policies.classifier.model import TorchClassifier, View
from policies.imitation import _evaluate, _Lesson, _rate, _returns

SCAN = Grid()


def environment(scheme: Any, n: int = 4, **parts: Any) -> GlimpseVecEnv:
    made = config(scheme=scheme, budget=4, **parts)
    reader = TorchClassifier(View.of(made), "canvas", width=4)
    parts = {"classifier": reader, "observe_classifier_features": True, **parts}
    return GlimpseVecEnv(config(scheme=scheme, budget=4, **parts), n, seed=0)


def learn(algorithm: type, policy: type, env: GlimpseVecEnv, imitation: Imitation, **settings: Any):
    model = algorithm(policy, env, n_steps=8, batch_size=16, n_epochs=1, seed=0, **settings)
    callbacks = [imitation] if algorithm is PPO else [PackedSequences(), imitation]
    model.learning_rate = model.lr_schedule = lambda _: 0.0  # what follows changes nothing
    model.policy.optimizer.param_groups[0]["lr"] = 0.0
    model.learn(32, callback=callbacks)
    return model


def gazes(model: Any, env: GlimpseVecEnv, n_steps: int = 3) -> np.ndarray:
    """Where the agent looks when it does not answer, (steps, lanes, 3)."""
    observation, state, found = env.reset(), None, []
    for step in range(n_steps):
        starts = np.full(env.num_envs, step == 0)
        actions, state = model.predict(observation, state, starts, deterministic=True)
        observation, _, ended, _ = env.step(actions)
        assert not ended.any()
        found.append(env.core.gaze.copy())
    return np.stack(found)


@pytest.mark.parametrize(
    ("algorithm", "policy", "scheme"),
    [
        (PPO, GlimpsePolicy, {"type": "MultiCategorical", "stride": 1.0}),
        pytest.param(
            *(RecurrentPPO, GlimpseLstmPolicy, {"type": "MultiCategorical", "stride": 1.0}),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(RecurrentPPO, GlimpseTokenPolicy, {"type": "MultiCategorical", "stride": 1.0}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_agent_scans_as_it_was_taught(algorithm: type, policy: type, scheme: Any) -> None:
    env = environment(scheme)
    n = 1_000 if algorithm is PPO else 1_500
    imitation = Imitation(gaze=SCAN, episodes=n, batch_size=16, learning_rate=5e-3)
    model = learn(algorithm, policy, env, imitation)
    wanted = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75)]
    for found, place in zip(gazes(model, env), wanted, strict=True):
        np.testing.assert_allclose(found[:, :2], np.tile(place, (4, 1)), atol=1e-5)


def test_continuous_moves_are_taught_too() -> None:
    env = environment("Hybrid")
    aim = Fixed(((0.3, 0.7, 0.8),))
    imitation = Imitation(gaze=aim, episodes=1_000, batch_size=16, learning_rate=5e-3)
    model = learn(PPO, HybridPolicy, env, imitation)
    wanted = env.config.geometry.clamp(np.float32([[0.3, 0.7, 0.8]]))[0]
    np.testing.assert_allclose(gazes(model, env)[1], np.tile(wanted, (4, 1)), atol=0.06)


@pytest.mark.parametrize("share", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_answers_are_as_likely_as_they_were_taught(share: float) -> None:
    env = environment({"type": "MultiCategorical", "stride": 1.0}, n=200)
    imitation = Imitation(
        gaze=SCAN, episodes=1_200, answer_share=share, batch_size=32, learning_rate=5e-3
    )
    model = learn(PPO, GlimpsePolicy, env, imitation)
    actions, _ = model.predict(env.reset(), deterministic=False)
    answers = actions[:, 2] > 0
    assert abs(answers.mean() - share) < 0.12
    if share:  # with what the classifier holds for likeliest
        assert (actions[answers, 2] - 1 == env.core.belief[answers].argmax(axis=1)).mean() > 0.5


def test_who_is_sure_is_to_answer() -> None:
    env = environment({"type": "MultiCategorical", "stride": 1.0})
    core = GlimpseCore(env.config, 64)
    middle = float(np.median(_beliefs_of_first_glimpses(env)))
    lesson = _Lesson(core, SCAN, 0.0, (0.9, middle), [0])
    observations, actions, _ = lesson.give(Staying())
    first = actions.reshape(64, 3, 3)[:, 0]
    belief = observations["belief"].reshape(64, 3, -1)[:, 0]
    sure = belief.max(axis=1) > middle
    assert 0 < sure.sum() < 64
    np.testing.assert_array_equal(first[:, 2] > 0, sure)
    np.testing.assert_array_equal(first[sure, 2] - 1, belief[sure].argmax(axis=1))


def _beliefs_of_first_glimpses(env: GlimpseVecEnv) -> np.ndarray:
    """How sure a classifier is after the first glimpse, (64,)."""
    core = GlimpseCore(env.config, 64)
    core.seed_all(0)
    core.reset(core.lanes)
    return core.belief.max(axis=1)


def test_rewards_are_those_of_the_way_and_of_the_answer_at_its_end() -> None:
    env = environment({"type": "MultiCategorical", "stride": 1.0}, reward="Terminal")
    core = GlimpseCore(env.config, 64)
    lesson = _Lesson(core, SCAN, 0.0, (0.5, None), [0])
    labels: list[np.ndarray] = []

    class Guessing(Staying):
        def predict(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, None]:
            labels[:] = [core.labels.copy()]
            return np.tile([4, 1, 3], (64, 1)), None  # class 2

    _, _, rewards = lesson.give(Guessing())
    assert rewards.shape == (64, 4) and not rewards[:, :3].any()
    np.testing.assert_array_equal(rewards[:, 3] > 0, labels[0] == 2)
    assert 0 < (labels[0] == 2).sum() < 64


def test_the_learning_rate_falls_to_nothing_and_may_rise_before() -> None:
    np.testing.assert_allclose([_rate(k, 100, 0.0) for k in range(100)], 1.0 - np.arange(100) / 100)
    rates = [_rate(update, 100, 0.05) for update in range(100)]
    np.testing.assert_allclose(rates[:6], [0.2, 0.4 * 0.99, 0.6 * 0.98, 0.8 * 0.97, 0.96, 0.95])
    np.testing.assert_allclose(rates[6:], 1.0 - np.arange(6, 100) / 100)
    with pytest.raises(ValueError, match=r"warmup=1\.0; wanted a share"):
        Imitation(gaze=SCAN, warmup=1.0)


def test_returns_are_discounted_from_each_step_on() -> None:
    rewards = np.float32([[1, 0, 2, 4], [0, 0, 0, 1]])
    np.testing.assert_allclose(_returns(rewards, 0.5), [2, 2, 4, 0.125, 0.25, 0.5])


@pytest.mark.parametrize("algorithm", [PPO, RecurrentPPO])
def test_the_critic_is_taught_what_the_gaze_earns(algorithm: type) -> None:
    """Three glimpses cost 0.25 each: what is left to pay is told by the time."""
    env = environment("MultiCategorical", reward={"type": "GlimpseCost", "cost": 0.25})
    policy = GlimpsePolicy if algorithm is PPO else GlimpseLstmPolicy
    n = 1_800 if algorithm is PPO else 800
    taught = Imitation(gaze="Uniform", episodes=n, batch_size=16, learning_rate=1e-3, critic=True)
    model = learn(algorithm, policy, env, taught, gamma=1.0)
    gaze = resolve("Uniform", ScriptedGaze)
    lesson = _Lesson(GlimpseCore(env.config, 64), gaze, 0.0, (0.0, None), [1])
    observations, actions, rewards = lesson.give(model.policy)
    np.testing.assert_allclose(rewards, np.tile([-0.25] * 3 + [0.0], (64, 1)))
    with th.no_grad():
        values, _ = _evaluate(model.policy, observations, actions, 3)
    assert abs(values.numpy() - _returns(rewards, 1.0)).mean() < 0.08  # 0.17 of a constant


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_some_episodes_go_where_the_agent_goes_and_are_told_the_way(share: float) -> None:
    """The agent stays where it is and answers; on the way it is told of the next quadrant."""
    env = environment({"type": "MultiCategorical", "stride": 1.0})
    lesson = _Lesson(GlimpseCore(env.config, 8), SCAN, share, (0.0, None), [0])
    observations, actions, _ = lesson.give(Staying())
    gaze, actions = observations["gaze"].reshape(8, 3, 3), actions.reshape(8, 3, 3)
    n = round(8 * share)
    assert (gaze[:n, :, 2] == 0.0).all()  # the overview, again and again
    np.testing.assert_allclose(gaze[n:, 1, :2], 0.25)
    assert (actions[:, 0] == (5, 2, 0)).all()  # in and up left, where the scan begins
    assert (actions[:n, 1:] == (6, 2, 0)).all()  # in and up right, where it goes on
    assert (actions[n:, 1] == (2, 1, 0)).all()  # there from the first quadrant


class Staying:
    """A policy that looks at the same again and would answer."""

    def predict(self, observation: Any, state: Any, starts: Any) -> Any:
        return np.tile([0, 1, 2], (len(starts), 1)), state


def test_a_resumed_training_is_not_taught_again() -> None:
    env = environment("MultiCategorical")
    model = PPO(GlimpsePolicy, env, n_steps=8, batch_size=16, n_epochs=1, seed=0)
    model.learn(32)
    model.learning_rate = model.lr_schedule = lambda _: 0.0
    before = [weight.clone() for weight in model.policy.parameters()]
    model.learn(32, callback=Imitation(gaze=SCAN), reset_num_timesteps=False)
    assert all(
        (old == new).all() for old, new in zip(before, model.policy.parameters(), strict=True)
    )


def test_a_lesson_that_was_stopped_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    give = _Lesson.give

    def stop_after_three(lesson: _Lesson, policy: Any) -> Any:
        given.append(lesson)
        if len(given) == 4:
            raise KeyboardInterrupt
        return give(lesson, policy)

    monkeypatch.setattr(_Lesson, "give", stop_after_three)
    stopped = Imitation(gaze=SCAN, episodes=80, batch_size=16)
    with pytest.raises(KeyboardInterrupt):
        learn(PPO, GlimpsePolicy, environment("MultiCategorical"), stopped)
    assert stopped.state() == {"imitated": 48}
    going_on = Imitation(gaze=SCAN, episodes=80, batch_size=16)
    going_on.restore(stopped.state())
    learn(PPO, GlimpsePolicy, environment("MultiCategorical"), going_on)
    assert len(given) == 4 + 2 and going_on.state() == {"imitated": 80}
    learn(PPO, GlimpsePolicy, environment("MultiCategorical"), going_on)
    assert len(given) == 4 + 2


def test_how_far_a_lesson_came_is_kept_in_the_run_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "n_envs": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1, "env_kwargs.budget": 3,
        "env_kwargs.classifier": {"type": "canvas", "width": 4},
        "callback.CoTrainingCallback.pretraining": 64, "callback.Imitation.episodes": 192,
    }  # fmt: skip
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(tmp_path / "data"))
    run = glimpse_lab.train(overrides=settings, total_timesteps=64, runs=tmp_path, video=False)
    assert run.classifier_extras()["imitated"] == 192
    for wrong in (-1, "many"):
        with pytest.raises(ValueError, match="imitated episodes; wanted"):
            Imitation(gaze=SCAN).restore({"imitated": wrong})


def test_the_same_seed_teaches_the_same() -> None:
    weights = []
    for _ in range(2):
        env = environment("MultiCategorical")
        model = learn(PPO, GlimpsePolicy, env, Imitation(gaze=SCAN, episodes=256))
        weights.append([weight.detach().numpy() for weight in model.policy.parameters()])
    assert all(np.array_equal(*pair) for pair in zip(*weights, strict=True))


@pytest.mark.parametrize(
    "arguments",
    [
        {"gaze": SCAN, "episodes": 0},
        {"gaze": SCAN, "answer_share": 1.0},
        {"gaze": SCAN, "own_share": 1.1},
        {"gaze": SCAN, "learning_rate": 0.0},
        {"gaze": SCAN, "batch_size": 0},
        {"gaze": SCAN, "answer_above": 1.0},
        {"gaze": "Nowhere"},
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"wanted|unknown"):
        Imitation(**arguments)


def test_other_algorithms_and_changed_observations_are_refused() -> None:
    env = environment("GreedyMap")
    with pytest.raises(ValueError, match="wanted PPO"):
        DQN("MultiInputPolicy", env).learn(8, callback=Imitation(gaze=SCAN))
    normalised = VecNormalize(environment("GreedyMap"), norm_obs_keys=["gaze"])
    with pytest.raises(ValueError, match="wrappers"):
        PPO(GlimpsePolicy, normalised, n_steps=8, batch_size=16).learn(
            32, callback=Imitation(gaze=SCAN)
        )


def test_certainty_needs_a_classifier_and_an_agent_that_answers() -> None:
    env = GlimpseVecEnv(config(scheme="GreedyMap", budget=4), 4, seed=0)
    model = PPO(GlimpsePolicy, env, n_steps=4, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match="no agent answers what a classifier"):
        model.learn(8, callback=Imitation(gaze=SCAN, answer_above=0.9))
