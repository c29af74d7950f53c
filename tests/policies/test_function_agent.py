"""A function that plays in evaluations, as a model does."""

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO

from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.evaluation.rollout import evaluate
from policies import FunctionAgent, GlimpsePolicy


@pytest.mark.parametrize("scheme", ["Saccade", "GreedyMap", "MultiCat", "Hybrid"])
def test_it_plays_what_the_model_plays_whose_actions_it_gives(scheme):
    parts = {"classifier": {"type": "gru", "encoder": "mlp"}, "budget": 3, "split": "validation"}
    env = GlimpseVecEnv(f"GlimpseDigits-{scheme}-v0", 2, **parts)
    model = PPO(GlimpsePolicy, env, n_steps=4, batch_size=8, seed=0)
    agent = FunctionAgent(lambda rows: model.predict(rows, deterministic=True)[0], env.config)
    own, theirs = (evaluate(each, env.config, index=20) for each in (agent, model))
    np.testing.assert_array_equal(own.gaze, theirs.gaze)
    np.testing.assert_array_equal(own.predictions, theirs.predictions)


def test_box_actions_are_clipped_to_their_space():
    envs = gymnasium.make_vec(
        "GlimpseDigits-Saccade-v0", num_envs=2, classifier={"type": "gru", "encoder": "mlp"}
    )
    agent = FunctionAgent(lambda rows: np.array([[-3.0, 0.5], [0.0, 2.0]]), envs.unwrapped.config)
    actions, state = agent.predict(envs.reset(seed=0)[0], "kept")
    np.testing.assert_array_equal(actions, [[-1.0, 0.5], [0.0, 1.0]])
    assert state == "kept"


def test_it_has_no_random_actions():
    envs = gymnasium.make_vec("GlimpseDigits-GreedyMap-v0", num_envs=2)
    agent = FunctionAgent(lambda rows: np.zeros(2, np.int64), envs.unwrapped.config)
    with pytest.raises(ValueError, match="got deterministic=False; wanted True"):
        agent.predict(envs.reset(seed=0)[0], deterministic=False)
