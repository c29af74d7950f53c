"""Training of continuous actions that have no probability."""

import numpy as np
import pytest
import torch as th
from levers import SayOrPoint
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from glimpse_envs import BoxActions
from glimpse_envs.inverse.sb3 import InverseVecEnv
from glimpse_envs.sb3 import GlimpseVecEnv
from policies import (
    CACLA,
    GlimpseLstmPolicy,
    HybridLstmPolicy,
    HybridPolicy,
    PackedSequences,
)
from policies.actions.cacla import cacla_loss
from policies.inverse import SiamesePolicy

SETTLED = {"gates": SayOrPoint.gates, "continuous": "deterministic", "log_std_init": -1.0}


def make_model(algorithm=PPO, policy=HybridPolicy, **arguments):
    env = make_vec_env(lambda: BoxActions(SayOrPoint()), 32, seed=0)
    settings = {"n_steps": 32, "batch_size": 256, "learning_rate": 3e-3, "gamma": 0.0, "seed": 0}
    policy_kwargs = {**SETTLED, "net_arch": [32, 32]}
    return algorithm(
        policy, env, policy_kwargs=policy_kwargs, device="cpu", **{**settings, **arguments}
    )


def pointing_error(model) -> float:
    """Mean distance to the target where the agent points, over 1,000 observations."""
    seen = np.random.default_rng(1).uniform(-1.0, 1.0, (1000, 2)).astype(np.float32)
    points = model.action_space.decode(model.predict(seen, deterministic=True)[0])["point"]
    return float(np.abs(points[:, 0] - seen[:, 1])[seen[:, 0] <= 0.0].mean())


@pytest.mark.slow
def test_parts_without_a_probability_learn_with_cacla_and_not_without():
    falling = {"learning_rate": lambda left: 3e-3 * left}  # a constant one ends off by up to 0.26
    model = make_model(**falling).learn(16384, callback=CACLA(epochs=6))
    alone = make_model(**falling).learn(16384)
    assert pointing_error(model) < 0.15
    assert pointing_error(alone) > 0.3


def test_the_loss_draws_to_better_actions_that_counted_alone():
    model = make_model(n_steps=8).learn(256)
    batch = next(model.rollout_buffer.get(None))
    distribution = model.policy.get_distribution(batch.observations)
    columns = distribution.parts["say"].columns
    said = batch.actions[:, columns].argmax(dim=1)
    distance = (
        batch.actions[:, distribution.parts["point"].columns]
        - distribution.components["point"].mean
    )[:, 0]
    chosen = (said == 0) & (batch.advantages > 0)
    assert 0 < chosen.sum() < len(chosen)
    wanted = distance[chosen].square().sum() / len(chosen)
    th.testing.assert_close(cacla_loss(model.policy, batch), wanted)


@pytest.mark.parametrize("packed", [False, True])
def test_recurrent_policies_learn_with_it(packed):
    env = GlimpseVecEnv("GlimpseDigits-Hybrid-v0", 8, seed=0)
    model = RecurrentPPO(
        GlimpseLstmPolicy,
        env,
        n_steps=8,
        batch_size=32,
        n_epochs=2,
        device="cpu",
        policy_kwargs={
            "continuous": "deterministic",
            "features_extractor_kwargs": {"encoder": "mlp"},
        },
    )
    before = model.policy.action_net.moves.weight.clone()
    callbacks = [CACLA(), PackedSequences()] if packed else [CACLA()]
    model.learn(128, callback=callbacks)
    assert not th.equal(before, model.policy.action_net.moves.weight)
    assert np.isfinite(model.logger.name_to_value["train/cacla_loss"])


def test_a_recurrent_policy_of_any_dict_learns_with_it():
    model = make_model(RecurrentPPO, HybridLstmPolicy, n_steps=8)
    model.learn(128, callback=CACLA())
    assert np.isfinite(model.logger.name_to_value["train/cacla_loss"])


def test_policies_without_such_parts_are_refused():
    env = make_vec_env(lambda: BoxActions(SayOrPoint()), 1)
    gaussian = PPO(HybridPolicy, env, n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match=r"HybridDistribution; wanted .* deterministic"):
        gaussian.learn(8, callback=CACLA())
    with pytest.raises(ValueError, match="got epochs=0"):
        CACLA(epochs=0)


def test_of_parameters_of_types_only_that_of_the_chosen_type_learns():
    env = InverseVecEnv("GlimpseInverseDigits-v0", 8, seed=0)
    small = {"dim": 16, "reach": [0.5, 1.0], "blocks": ["self", "cross"]}
    kwargs = {"continuous": "deterministic", "features_extractor_kwargs": small}
    model = PPO(SiamesePolicy, env, n_steps=4, batch_size=32, policy_kwargs=kwargs, device="cpu")
    model.learn(32)
    batch = next(model.rollout_buffer.get())
    parts = {part.name: part.columns for part in model.action_space.parts}
    chosen = batch.actions[:, parts["type"]].argmax(dim=1)
    distribution = model.policy.get_distribution(batch.observations)
    mean = distribution.components["parameters"].mean
    distances = (batch.actions[:, parts["parameters"]] - mean).square()
    better = batch.advantages > 0
    wanted = distances[th.arange(32), chosen][better].sum() / 32
    th.testing.assert_close(cacla_loss(model.policy, batch), wanted)
