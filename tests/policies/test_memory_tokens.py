"""The policy with a memory of tokens: resets, packing, saving, and recalling what was seen."""

import copy

import numpy as np
import pytest
import torch as th
from recall import accuracy, falling, recall_envs
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3 import PPO
from tiny import ACTION_SPACES, observation_space, observations
from updates import assert_ratios_are_one

from glimpse_envs.sb3 import GlimpseVecEnv
from policies import (
    GlimpseExtractor,
    GlimpseLstmPolicy,
    GlimpsePolicy,
    GlimpseTokenPolicy,
    PackedSequences,
)
from policies.actor_critic import run_padded
from policies.extractors.attention import MemoryTransformer
from policies.packed_buffer import PackedRecurrentDictRolloutBuffer

th.set_num_threads(1)

IDS = [f"GlimpseDigits-{scheme}-v0" for scheme in ("MultiCat", "GreedyMap", "Hybrid")]
CRITICS = {
    "shared": {},
    "own": {"shared_lstm": False, "enable_critic_lstm": True},
    "none": {"shared_lstm": False},
}
SMALL = {
    "lstm_hidden_size": 16,
    "memory_tokens": 3,
    "memory_heads": 2,
    "features_extractor_kwargs": {"n_blocks": 1, "n_heads": 2},
    "net_arch": [16],
}


def _policy(scheme: str = "MultiDiscrete", extras: tuple[str, ...] = (), **kwargs):
    th.manual_seed(0)
    return GlimpseTokenPolicy(
        observation_space(extras=extras),
        ACTION_SPACES[scheme],
        lambda _: 1e-3,
        **{**SMALL, **kwargs},
    )


def _model(env_id: str = IDS[0], n_envs: int = 16, n_steps: int = 8, **policy_kwargs):
    return RecurrentPPO(
        GlimpseTokenPolicy,
        GlimpseVecEnv(env_id, n_envs, seed=0, budget=4),
        n_steps=n_steps,
        batch_size=32,
        n_epochs=1,
        ent_coef=0.01,
        seed=0,
        policy_kwargs={**SMALL, "initial_stop_probability": 0.3, **policy_kwargs},
        device="cpu",
    )


def _states(policy: GlimpseTokenPolicy, n_seq: int) -> RNNStates:
    layers, _, hidden = policy.lstm_hidden_state_shape
    pi, vf = ((th.randn(layers, n_seq, hidden), th.randn(layers, n_seq, hidden)) for _ in "pv")
    return RNNStates(pi, vf)


def _same_actions(model, loaded, obs) -> None:
    for deterministic in (True, False):
        actions = []
        for one in (model, loaded):
            th.manual_seed(0)
            actions.append(one.predict(obs, deterministic=deterministic)[0])
        np.testing.assert_array_equal(*actions)


# ---- the policy ----


@pytest.mark.parametrize("critic", CRITICS)
def test_the_lstms_of_the_parent_are_gone(critic: str):
    policy = _policy(**CRITICS[critic])
    assert not any(isinstance(module, th.nn.LSTM) for module in policy.modules())
    assert isinstance(policy.lstm_actor, MemoryTransformer)
    assert isinstance(policy.lstm_critic, MemoryTransformer) == (critic == "own")
    assert policy.lstm_critic is not policy.lstm_actor
    optimized = [p for group in policy.optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in optimized} == {id(p) for p in policy.parameters()}
    assert len(optimized) == len(list(policy.parameters()))


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("extras", [(), ("map", "belief", "classifier_features")])
@pytest.mark.parametrize("scheme", ACTION_SPACES)
def test_prediction_equals_evaluation(scheme: str, extras: tuple[str, ...], critic: str):
    policy = _policy(scheme, extras, **CRITICS[critic])
    obs = observations(policy.observation_space, 6)
    states, starts = _states(policy, 6), th.tensor([0.0, 1.0] * 3)
    with th.no_grad():
        actions, values, log_prob, new_states = policy(obs, states, starts, deterministic=True)
        dist, dist_states = policy.get_distribution(obs, states.pi, starts)
        values_2, log_prob_2, entropy = policy.evaluate_actions(obs, actions, states, starts)
        values_3 = policy.predict_values(obs, states.vf, starts)
    th.testing.assert_close((values_2, log_prob_2), (values, log_prob))
    # With a shared memory predict_values is given the critic's states, which then are the actor's
    if critic != "shared":
        th.testing.assert_close(values_3, values)
    th.testing.assert_close(dist.log_prob(actions), log_prob)
    th.testing.assert_close(dist_states, new_states.pi)
    assert entropy.isfinite().all()

    numpy_obs = {key: tensor.numpy() for key, tensor in obs.items()}
    numpy_states = tuple(state.numpy() for state in states.pi)
    predicted, last = policy.predict(numpy_obs, numpy_states, starts.numpy(), deterministic=True)
    clipped = np.clip(actions.numpy(), -1, 1) if scheme == "Box" else actions
    np.testing.assert_allclose(predicted, clipped, atol=1e-6)
    np.testing.assert_allclose(last[0], new_states.pi[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("critic", CRITICS)
def test_the_memory_is_reset_where_an_episode_starts(critic: str):
    policy = _policy(extras=("belief",), **CRITICS[critic])
    obs, states = observations(policy.observation_space, 6), _states(policy, 6)
    fresh = RNNStates(*((th.zeros_like(h), th.zeros_like(c)) for h, c in states))
    starts = th.tensor([1.0, 0.0] * 3)
    with th.no_grad():
        _, want_values, want, want_states = policy(obs, fresh, th.zeros(6), deterministic=True)
        _, values, log_prob, new_states = policy(obs, states, starts, deterministic=True)
        _, again, same, _ = policy(obs, fresh, th.ones(6), deterministic=True)
    assert th.equal(same, want) and th.equal(again, want_values)
    assert th.equal(values[::2], want_values[::2]) and th.equal(log_prob[::2], want[::2])
    assert th.equal(new_states.pi[0][:, ::2], want_states.pi[0][:, ::2])
    assert not th.isclose(new_states.pi[0], want_states.pi[0])[:, 1::2].all(dim=2).any()
    if critic != "none":
        assert not th.isclose(values, want_values)[1::2].any()

    numpy_obs = {key: tensor.numpy() for key, tensor in obs.items()}
    numpy_states = tuple(state.numpy() for state in states.pi)
    actions, last = policy.predict(numpy_obs, deterministic=True)  # no state: a fresh one
    same, reset = policy.predict(numpy_obs, numpy_states, np.ones(6), deterministic=True)
    np.testing.assert_array_equal(same, actions)
    np.testing.assert_array_equal(reset[0], last[0])


def test_starts_within_a_sequence_take_the_stock_loop():
    memory, features = MemoryTransformer(32, 8, 2, n_heads=2), th.randn(6, 32)
    zeros, ones = (th.zeros(2, 2, 8),) * 2, (th.ones(2, 2, 8),) * 2
    starts = th.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    got, last = run_padded(features, ones, starts, memory)
    stock, stock_last = RecurrentActorCriticPolicy._process_sequence(features, ones, starts, memory)
    assert th.equal(got, stock) and th.equal(last[0], stock_last[0])
    fresh, _ = run_padded(features[1:3], (zeros[0][:, :1],) * 2, th.zeros(2), memory)
    th.testing.assert_close(got[1:3], fresh)


def test_one_call_on_whole_sequences_equals_the_stock_loop():
    memory, features = MemoryTransformer(32, 8, 3, n_heads=2), th.randn(4 * 5, 32)
    states, starts = (th.randn(3, 4, 8), th.randn(3, 4, 8)), th.zeros(4, 5)
    starts[::2, 0] = 1.0
    got, last = run_padded(features, states, starts.flatten(), memory)
    late = starts.clone()
    late[1, 3] = 1.0  # makes the stock code loop over time
    stock, _ = RecurrentActorCriticPolicy._process_sequence(
        features, states, late.flatten(), memory
    )
    rows = [row for row in range(20) if row not in (8, 9)]
    th.testing.assert_close(got[rows], stock[rows])
    assert last[0].shape == (3, 4, 8)


@pytest.mark.parametrize("critic", CRITICS)
def test_gradients_reach_what_they_should(critic: str):
    policy = _policy(extras=("belief",), **CRITICS[critic])
    obs = observations(policy.observation_space, 6)
    values, log_prob, entropy = policy.evaluate_actions(
        obs, th.zeros(6, 3), _states(policy, 2), th.zeros(6)
    )
    values.sum().backward(retain_graph=True)
    # The actor's memory learns from the actor alone, a shared one too
    assert all(p.grad is None for p in policy.lstm_actor.parameters())
    if critic == "own":
        assert all(p.grad.abs().sum() > 0 for p in policy.lstm_critic.parameters())
    (log_prob[:5].sum() + entropy.sum()).backward()
    assert all(p.grad.abs().sum() > 0 for p in policy.lstm_actor.parameters())
    assert all(p.grad.abs().sum() > 0 for p in policy.features_extractor.embed.parameters())
    assert all(p.grad is None or p.grad.isfinite().all() for p in policy.parameters())


def test_the_last_decision_knows_the_first_glimpse():
    policy = _policy()
    obs = observations(policy.observation_space, 5)
    states = RNNStates(*((th.zeros(3, 1, 16),) * 2 for _ in "pv"))

    def last(obs: dict[str, th.Tensor]) -> th.Tensor:
        with th.no_grad():
            _, log_prob, _ = policy.evaluate_actions(obs, th.ones(5, 3), states, th.zeros(5))
        return log_prob[-1]

    changed = {**obs, "glimpse": obs["glimpse"].clone()}
    changed["glimpse"][0] = 255 - changed["glimpse"][0]
    assert last(changed) != last(obs)


@pytest.mark.parametrize("name", ["GlimpseExtractor", "one token", "wide"])
def test_other_features_of_whole_tokens_are_taken(name: str):
    kwargs = {
        "GlimpseExtractor": {
            "features_extractor_class": GlimpseExtractor,
            "features_extractor_kwargs": {"encoder": "mlp", "encoded_dim": 32},
        },
        "one token": {"features_extractor_kwargs": {"tokens": False, "n_heads": 2}},
        "wide": {"features_extractor_kwargs": {"dim": 32}},
    }[name]
    policy = _policy(**kwargs)
    assert (
        policy.lstm_actor.input_size == {"GlimpseExtractor": 32, "one token": 16, "wide": 160}[name]
    )
    obs = observations(policy.observation_space, 3)
    actions, *_ = policy(obs, _states(policy, 3), th.ones(3))
    assert actions.shape == (3, 3)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match=r"features have 60 numbers, wanted a multiple .* 16"):
        _policy(features_extractor_kwargs={"dim": 12})
    with pytest.raises(ValueError, match="tokens of 16 numbers and 3 heads"):
        _policy(memory_heads=3)


# ---- with RecurrentPPO ----


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("env_id", IDS)
def test_learns_and_is_saved(tmp_path, env_id: str, critic: str):
    model = _model(env_id, memory_blocks=2 if critic == "own" else 1, **CRITICS[critic])
    before = {name: p.clone() for name, p in model.policy.named_parameters()}
    model.learn(256, callback=PackedSequences())
    assert isinstance(model.rollout_buffer, PackedRecurrentDictRolloutBuffer)
    for name, weights in model.policy.named_parameters():
        assert weights.isfinite().all(), name
        assert "lstm_" not in name or not th.equal(weights, before[name]), name
    obs = model.env.reset()
    model.save(tmp_path / "model.zip")
    loaded = RecurrentPPO.load(tmp_path / "model.zip", device="cpu")
    _same_actions(model, loaded, obs)
    loaded.set_env(GlimpseVecEnv(env_id, 16, seed=1, budget=4))
    loaded.learn(128, callback=PackedSequences())

    model.policy.save(str(tmp_path / "policy.pt"))
    policy = GlimpseTokenPolicy.load(str(tmp_path / "policy.pt"), device="cpu")
    _same_actions(model, policy, obs)
    assert policy._get_constructor_parameters().keys() == (
        model.policy._get_constructor_parameters().keys()
    )
    for name in ("memory_blocks", "memory_heads", "shared_lstm", "enable_critic_lstm"):
        assert getattr(policy, name) == getattr(model.policy, name)


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("env_id", IDS)
def test_stored_log_probs_are_those_of_the_update(env_id: str, packed: bool, critic: str):
    model = _model(env_id, **CRITICS[critic])
    assert_ratios_are_one(model, PackedSequences() if packed else None)


@pytest.mark.parametrize("critic", CRITICS)
def test_packed_losses_and_gradients_are_the_padded_ones(critic: str):
    model = _model(n_envs=5, n_steps=13, **CRITICS[critic])
    _, callback = model._setup_learn(65, None)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    model.rollout_buffer.hidden_states_pi += 0.1  # of sequences that are cut, too
    packed = copy.deepcopy(model.rollout_buffer)
    packed.__class__ = PackedRecurrentDictRolloutBuffer
    results, n_rows = [], []
    for buffer in (model.rollout_buffer, packed):
        np.random.seed(3)  # noqa: NPY002  # the buffer draws its split from the global generator
        for batch in buffer.get(32):
            values, log_prob, entropy = model.policy.evaluate_actions(
                batch.observations, batch.actions, batch.lstm_states, batch.episode_starts
            )
            kept = batch.mask > 0
            value_loss = ((batch.returns - values.flatten()) ** 2)[kept].mean()
            ratio = th.exp(log_prob - batch.old_log_prob)
            loss = value_loss - (batch.advantages * ratio)[kept].mean() - entropy[kept].mean()
            model.policy.zero_grad()
            loss.backward()
            gradients = [p.grad.clone() for p in model.policy.parameters() if p.grad is not None]
            results.append((values[kept], log_prob[kept], entropy[kept], loss, *gradients))
            n_rows.append(len(batch.mask))
    half = len(results) // 2
    assert sum(n_rows[half:]) == 65 < sum(n_rows[:half])
    for padded, rows in zip(results[:half], results[half:], strict=True):
        th.testing.assert_close(rows, padded, rtol=1e-4, atol=1e-6)


def test_packed_training_ends_where_the_padded_does():
    # One after the other: making a model seeds the global generators
    padded = _model().learn(256)
    packed = _model().learn(256, callback=PackedSequences())
    np.testing.assert_allclose(
        packed.policy.parameters_to_vector(), padded.policy.parameters_to_vector(), atol=1e-4
    )


# ---- a problem to solve ----

MLP = {"features_extractor_kwargs": {"encoder": "mlp"}}
LSTM = {**MLP, "lstm_hidden_size": 64, "shared_lstm": True, "enable_critic_lstm": False}
TOKENS = {"features_extractor_kwargs": {"n_blocks": 0}}  # the memory has a block of its own


def _recall(algorithm, policy, seed: int, n_steps: int, rate: float, policy_kwargs) -> float:
    """The accuracy of what was trained to recall."""
    model = algorithm(
        policy,
        recall_envs(),
        learning_rate=falling(rate),
        n_steps=24,
        batch_size=256,
        n_epochs=4,
        gamma=1.0,
        ent_coef=0.01,
        seed=seed,
        policy_kwargs=policy_kwargs,
        device="cpu",
    )
    model.learn(n_steps, callback=PackedSequences() if algorithm is RecurrentPPO else None)
    return accuracy(model)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_an_lstm_recalls_what_was_seen_first(seed: int):
    assert _recall(RecurrentPPO, GlimpseLstmPolicy, seed, 30_000, 2e-3, LSTM) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_memory_tokens_recall_what_was_seen_first(seed: int):
    assert _recall(RecurrentPPO, GlimpseTokenPolicy, seed, 24_000, 7e-4, TOKENS) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_without_a_memory_nothing_is_recalled(seed: int):
    assert _recall(PPO, GlimpsePolicy, seed, 20_000, 2e-3, MLP) < 0.4


def test_arguments_of_an_lstm_are_refused() -> None:
    with pytest.raises(ValueError, match="got n_lstm_layers, and this policy has no LSTM"):
        _policy(n_lstm_layers=2)
