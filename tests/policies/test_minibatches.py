"""Minibatches of one row: refused where they would spoil the weights."""

import pytest
import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from tiny import TinyGlimpse

from policies import CoTrainingCallback, GlimpseLstmPolicy, GlimpsePolicy, PackedSequences
from policies.minibatches import check_minibatches


def make(algorithm: type, policy: type, n_steps: int, batch_size: int, **others: bool) -> PPO:
    return algorithm(
        policy, TinyGlimpse(), n_steps=n_steps, batch_size=batch_size, n_epochs=1, **others
    )


@pytest.mark.parametrize(("n_steps", "batch_size"), [(21, 5), (6, 5), (8, 7), (4, 1)])
def test_one_row_is_refused_before_and_without_a_callback(n_steps: int, batch_size: int) -> None:
    model = make(RecurrentPPO, GlimpseLstmPolicy, n_steps, batch_size)
    with pytest.raises(ValueError, match="one row"):
        check_minibatches(model)
    with pytest.raises(ValueError, match="one row"):
        model.learn(n_steps, callback=PackedSequences())
    model = make(RecurrentPPO, GlimpseLstmPolicy, n_steps, batch_size)
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="minibatch of one row"):
        model.learn(n_steps)


def test_co_training_refuses_it_too() -> None:
    from glimpse_envs.sb3 import GlimpseVecEnv

    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 3, classifier={"type": "canvas", "width": 4})
    model = PPO(GlimpsePolicy, env, n_steps=7, batch_size=5)
    with pytest.raises(ValueError, match="one row"):
        model.learn(21, callback=CoTrainingCallback(pretraining=0))


def test_one_row_whose_advantage_is_left_as_it_is_is_learnt_from() -> None:
    for algorithm, policy in ((RecurrentPPO, GlimpseLstmPolicy), (PPO, GlimpsePolicy)):
        model = make(algorithm, policy, 6, 5, normalize_advantage=False)
        check_minibatches(model)
        model.learn(6)
        assert all(th.isfinite(weight).all() for weight in model.policy.parameters())


def test_batches_that_leave_more_rows_or_none_are_accepted() -> None:
    for n_steps, batch_size in ((8, 4), (8, 6), (8, 100)):
        check_minibatches(make(RecurrentPPO, GlimpseLstmPolicy, n_steps, batch_size))
