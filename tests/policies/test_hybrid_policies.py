"""Policies for Dict actions: learning, saving, exact log-probabilities, a problem to solve."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from levers import Levers, Logits, SayOrPoint
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv

from glimpse_envs import BoxActions
from glimpse_envs.boxview import BoxView
from glimpse_envs.sb3 import GlimpseVecEnv
from policies import (
    GlimpseLstmPolicy,
    GlimpsePolicy,
    HybridLstmPolicy,
    HybridPolicy,
    PackedSequences,
)
from policies.packed_buffer import PackedRecurrentDictRolloutBuffer

th.set_num_threads(1)

GATES = {"arm.angle": {"arm.grip": [-1, 1]}, "keys": {"arm.grip": 0}}
OBSERVED = ["Box", "Dict"]
ALGORITHMS = {
    "PPO": (PPO, HybridPolicy, {}),
    "RecurrentPPO": (RecurrentPPO, HybridLstmPolicy, {"lstm_hidden_size": 8}),
}
GLIMPSE_ALGORITHMS = pytest.mark.parametrize(
    ("algorithm", "packed"),
    [(PPO, False), (RecurrentPPO, False), (RecurrentPPO, True)],
    ids=["PPO", "RecurrentPPO", "packed"],
)
SETTINGS = {
    "plain": {},
    "gated": {"gates": GATES, "entropy_weights": {"lights": 0.5}},
    "settled": {"gates": GATES, "continuous": "deterministic"},
}


def _envs(observed: str = "Box", n_envs: int = 4) -> VecEnv:
    return make_vec_env(lambda: BoxActions(Levers(observed)), n_envs, seed=0)


def _model(name: str, env: VecEnv, **policy_kwargs):
    algorithm, policy, sizes = ALGORITHMS[name]
    return algorithm(
        policy,
        env,
        n_steps=16,
        batch_size=32,
        n_epochs=2,
        ent_coef=0.01,
        seed=0,
        policy_kwargs={"net_arch": [16], **sizes, **policy_kwargs},
        device="cpu",
    )


def _glimpse_model(algorithm, env: VecEnv | None = None, **policy_kwargs):
    return algorithm(
        GlimpsePolicy if algorithm is PPO else GlimpseLstmPolicy,
        env or GlimpseVecEnv("GlimpseDigits-Hybrid-v0", 16, seed=0),
        n_steps=8,
        batch_size=64,
        n_epochs=2,
        seed=0,
        policy_kwargs={
            "features_extractor_kwargs": {"encoder": "mlp"},
            "net_arch": [16],
            **({} if algorithm is PPO else {"lstm_hidden_size": 16}),
            **policy_kwargs,
        },
        device="cpu",
    )


def _same_actions(model, loaded, obs: Any) -> None:
    for deterministic in (True, False):
        actions = []
        for one in (model, loaded):
            th.manual_seed(0)
            actions.append(one.predict(obs, deterministic=deterministic)[0])
        np.testing.assert_array_equal(*actions)


def _assert_learns(model, n_steps: int, callback=None) -> None:
    before = model.policy.parameters_to_vector()
    model.learn(n_steps, callback=callback)
    after = model.policy.parameters_to_vector()
    assert np.isfinite(after).all() and not np.array_equal(before, after)


def _assert_log_probs_are_stored(model, callback=None) -> None:
    """What the rollout stored is what an update finds before its first step."""
    _, callback = model._setup_learn(model.n_steps * model.n_envs, callback)
    callback.on_training_start(locals(), globals())
    recurrent = isinstance(model, RecurrentPPO)
    for _ in range(2):  # the second begins within episodes
        model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
        n_rows = 0
        for batch in model.rollout_buffer.get(32):
            memory = (batch.lstm_states, batch.episode_starts) if recurrent else ()
            with th.no_grad():
                values, log_prob, entropy = model.policy.evaluate_actions(
                    batch.observations, batch.actions, *memory
                )
            real = batch.mask > 0 if recurrent else th.ones(len(log_prob), dtype=th.bool)
            n_rows += int(real.sum())
            stored = batch.old_log_prob[real], batch.old_values[real]
            got = log_prob[real], values.flatten()[real]
            th.testing.assert_close(got, stored, atol=1e-5, rtol=1e-5)
            assert entropy[real].isfinite().all()
        assert n_rows == model.n_steps * model.n_envs


# ---- any environment ----


@pytest.mark.parametrize(
    ("observed", "settings"), [*(("Dict", settings) for settings in SETTINGS), ("Box", "plain")]
)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_learns_is_evaluated_and_is_saved(tmp_path, name: str, observed: str, settings: str):
    env = _envs(observed)
    model = _model(name, env, **SETTINGS[settings])
    _assert_learns(model, 192)
    obs = env.reset()
    actions, _ = model.predict(obs)
    assert actions.shape == (4, env.action_space.size)
    assert all(action in env.action_space for action in actions)
    mean, std = evaluate_policy(model, _envs(observed, 2), n_eval_episodes=4)
    assert np.isfinite([mean, std]).all()

    model.save(tmp_path / "model.zip")
    loaded = type(model).load(tmp_path / "model.zip", device="cpu")
    _same_actions(model, loaded, obs)
    loaded.set_env(_envs(observed))
    _assert_learns(loaded, 64)

    model.policy.save(str(tmp_path / "policy.pt"))
    policy = type(model.policy).load(str(tmp_path / "policy.pt"), device="cpu")
    _same_actions(model, policy, obs)
    assert policy.action_dist.gates == model.policy.action_dist.gates
    assert policy.action_dist.weights == model.policy.action_dist.weights
    assert policy.action_dist.continuous == model.policy.action_dist.continuous


class Linear(BaseFeaturesExtractor):
    """An extractor that has something to save."""

    def __init__(self, observation_space: spaces.Box) -> None:
        super().__init__(observation_space, 5)
        self.layer = th.nn.Linear(3, 5)

    def forward(self, observations: th.Tensor) -> th.Tensor:
        return self.layer(observations)


@pytest.mark.parametrize("share", [True, False], ids=["shared", "two"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_policy_with_its_own_extractors_is_saved(tmp_path, name: str, share: bool):
    env = _envs()
    model = _model(name, env, features_extractor_class=Linear, share_features_extractor=share)
    model.policy.save(str(tmp_path / "policy.pt"))
    policy = type(model.policy).load(str(tmp_path / "policy.pt"), device="cpu")
    _same_actions(model, policy, env.reset())


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("observed", OBSERVED)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_stored_log_probs_are_those_of_the_update(name: str, observed: str, settings: str):
    _assert_log_probs_are_stored(_model(name, _envs(observed), **SETTINGS[settings]))


def test_a2c_learns_too():
    model = A2C(HybridPolicy, _envs("Dict"), seed=0, policy_kwargs={"gates": GATES}, device="cpu")
    _assert_learns(model, 40)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_continuous_heads_that_are_settled_stay_as_they_are(name: str):
    model = _model(name, _envs(), **SETTINGS["settled"], log_std_init=-1.5)
    columns = next(p.columns for p in model.action_space.parts if p.name == "arm.angle")
    net = model.policy.action_net
    before = net.weight.detach().clone()
    model.learn(64)
    moved = (net.weight != before).any(dim=1)
    assert not moved[columns].any() and moved.sum() == len(moved) - 2
    assert model.policy.log_std.tolist() == [-1.5, -1.5]


def test_another_environment_is_refused():
    model = _model("PPO", _envs())
    other = make_vec_env(lambda: BoxActions(SayOrPoint()), 4)
    with pytest.raises(ValueError, match="do not match"):
        model.set_env(other)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_state_dependent_exploration_is_refused(name: str):
    algorithm, policy, _ = ALGORITHMS[name]
    with pytest.raises(ValueError, match="no state-dependent exploration: drop use_sde"):
        algorithm(policy, _envs(), use_sde=True, device="cpu")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_plain_actions_are_refused(name: str):
    algorithm, policy, _ = ALGORITHMS[name]
    env = make_vec_env("Pendulum-v1", 1)
    with pytest.raises(ValueError, match=r"got actions Box.*wrap .* in glimpse_envs.BoxActions"):
        algorithm(policy, env, device="cpu")


def test_wrong_gates_are_refused_when_the_model_is_made():
    with pytest.raises(
        ValueError, match=r"got part 'light', which the actions have not; did you mean 'lights'\?"
    ):
        _model("PPO", _envs(), gates={"light": {"arm.grip": 0}})


# ---- parts without bounds ----


@pytest.mark.parametrize("name", ALGORITHMS)
def test_unbounded_parts_learn_and_are_saved(tmp_path, name: str):
    env = make_vec_env(lambda: BoxActions(Logits()), 4, seed=0)
    model = _model(name, env, gates={"prediction": {"move": [0, 1]}})
    _assert_learns(model, 128)
    obs = env.reset()
    model.save(tmp_path / "model.zip")
    loaded = type(model).load(tmp_path / "model.zip", device="cpu")
    assert loaded.action_space == env.action_space and not loaded.action_space.is_bounded()
    _same_actions(model, loaded, obs)
    loaded.set_env(make_vec_env(lambda: BoxActions(Logits()), 4, seed=1))
    _assert_learns(loaded, 64)
    _assert_log_probs_are_stored(_model(name, env))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_unbounded_parts_are_neither_clipped_nor_squashed(name: str):
    env = make_vec_env(lambda: BoxActions(Logits()), 4, seed=0)
    model = _model(name, env, log_std_init=-20.0)
    wanted = np.float32([-7e6, 0.25, 3e20])
    part = next(part for part in model.action_space.parts if part.name == "prediction")
    with th.no_grad():
        model.policy.action_net.weight.zero_()
        model.policy.action_net.bias[part.columns] = th.from_numpy(wanted)
    for deterministic in (True, False):
        actions, _ = model.predict(env.reset(), deterministic=deterministic)
        np.testing.assert_allclose(actions[:, part.columns], [wanted] * 4, rtol=1e-6)
        *_, infos = env.step(actions)
        for info in infos:
            np.testing.assert_allclose(info["prediction"], wanted, rtol=1e-6)


# ---- glimpses ----


@pytest.mark.parametrize("continuous", ["gaussian", "deterministic"])
@GLIMPSE_ALGORITHMS
def test_glimpse_policies_learn_and_are_saved(tmp_path, algorithm, packed: bool, continuous: str):
    weights = {"class": 3.0, "zoom": 0.5}
    model = _glimpse_model(algorithm, continuous=continuous, entropy_weights=weights)
    assert isinstance(model.action_space, BoxView)
    _assert_learns(model, 256, PackedSequences() if packed else None)
    assert isinstance(model.rollout_buffer, PackedRecurrentDictRolloutBuffer) == packed
    obs = model.env.reset()
    model.save(tmp_path / "model.zip")
    loaded = algorithm.load(tmp_path / "model.zip", device="cpu")
    _same_actions(model, loaded, obs)
    loaded.set_env(GlimpseVecEnv("GlimpseDigits-Hybrid-v0", 16, seed=1))
    _assert_learns(loaded, 128)
    model.policy.save(str(tmp_path / "policy.pt"))
    policy = type(model.policy).load(str(tmp_path / "policy.pt"), device="cpu")
    _same_actions(model, policy, obs)
    assert policy.action_dist.weights == weights and policy.action_dist.continuous == continuous
    mean, _ = evaluate_policy(
        model, GlimpseVecEnv("GlimpseDigits-Hybrid-v0", 4, seed=2), n_eval_episodes=8, warn=False
    )
    assert 0.0 <= mean <= 1.0


@GLIMPSE_ALGORITHMS
def test_glimpse_policies_store_the_log_probs_of_the_update(algorithm, packed: bool):
    model = _glimpse_model(algorithm, initial_stop_probability=0.3)
    _assert_log_probs_are_stored(model, PackedSequences() if packed else None)


@pytest.mark.parametrize("algorithm", [PPO, RecurrentPPO])
def test_glimpse_policies_answer_after_the_last_glimpse(algorithm):
    env = GlimpseVecEnv("GlimpseDigits-Hybrid-v0", 16, seed=0)
    model = _glimpse_model(algorithm, env, initial_stop_probability=0.01)
    obs = env.reset()
    for _ in range(20):
        actions, _ = model.predict(obs)
        last = obs["remaining"][:, 0] <= 0
        if last.any():
            assert (env.action_space.decode(actions)["decision"][last] == 1).all()
            return
        obs, *_ = env.step(actions)
    pytest.fail("no episode came to its last glimpse")


@pytest.mark.parametrize("algorithm", [PPO, RecurrentPPO])
def test_glimpse_policies_take_any_dict_actions(algorithm):
    class Pointing(gym.ActionWrapper):
        """Takes glimpses, as a Dict, and never answers."""

        def __init__(self, env: gym.Env) -> None:
            super().__init__(env)
            self.action_space = spaces.Dict(
                {"aim": spaces.Box(0, 1, (2,), np.float32), "near": spaces.Discrete(2)}
            )

        def action(self, action: dict[str, Any]) -> dict[str, Any]:
            zoom = np.float32([action["near"]])
            return {"decision": 0, "class": 0, "move": action["aim"], "zoom": zoom}

    env = make_vec_env(lambda: BoxActions(Pointing(gym.make("GlimpseDigits-Hybrid-v0"))), 8)
    model = _glimpse_model(algorithm, env, gates={"aim": {"near": 1}})
    _assert_learns(model, 64)
    _assert_log_probs_are_stored(model)


# ---- a problem to solve ----


def _mean_reward(model) -> float:
    """The exact mean reward of the deterministic policy on 1000 observations."""
    seen = np.random.default_rng(1).uniform(-1.0, 1.0, (1000, 2)).astype(np.float32)
    actions, _ = model.predict(seen, deterministic=True)
    return float(SayOrPoint.rewards(seen, model.action_space.decode(actions)).mean())


@pytest.mark.slow
def test_ppo_learns_when_to_say_what_to_say_and_where_to_point():
    model = PPO(
        HybridPolicy,
        make_vec_env(lambda: BoxActions(SayOrPoint()), 32, seed=0),
        learning_rate=3e-3,
        n_steps=32,
        batch_size=256,
        gamma=0.0,
        seed=0,
        policy_kwargs={"gates": SayOrPoint.gates, "log_std_init": -1.0, "net_arch": [32, 32]},
        device="cpu",
    )
    assert _mean_reward(model) < 0.7
    model.learn(12_288)
    assert _mean_reward(model) > 0.9  # 1 is the best
