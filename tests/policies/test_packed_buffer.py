"""The packed buffer and its callback: the stock results, without padding."""

import copy

import numpy as np
import pytest
import torch as th
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from tiny import ACTION_SPACES, TinyGlimpse

from policies import GlimpseLstmPolicy, GlimpsePolicy, PackedSequences
from policies.packed_buffer import PackedRecurrentDictRolloutBuffer

th.set_num_threads(1)


class StockPolicy(GlimpseLstmPolicy):
    """The same networks with sb3-contrib's own loop over time."""

    def _process_sequence(self, features, lstm_states, episode_starts, lstm):
        encoded, bypass = self.bypass.split(features)
        output, states = RecurrentActorCriticPolicy._process_sequence(
            encoded, lstm_states, episode_starts, lstm
        )
        return th.cat([output, bypass], dim=1), states


def _model(policy=GlimpseLstmPolicy, scheme: str = "MultiDiscrete", **policy_kwargs):
    env = make_vec_env(lambda: TinyGlimpse(scheme, extras=("belief",), budget=7), 3, seed=0)
    return RecurrentPPO(
        policy,
        env,
        n_steps=20,
        batch_size=16,
        n_epochs=2,
        seed=0,
        ent_coef=0.01,
        policy_kwargs={
            "lstm_hidden_size": 8,
            "features_extractor_kwargs": {"encoder": "mlp"},
            "net_arch": [8],
            **policy_kwargs,
        },
        device="cpu",
    )


def _filled(scheme: str = "MultiDiscrete", **policy_kwargs):
    """A model, its filled stock buffer and a packed buffer with the same data."""
    model = _model(StockPolicy, scheme, **policy_kwargs)
    _, callback = model._setup_learn(60, None)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    stock = model.rollout_buffer
    packed = copy.deepcopy(stock)
    packed.__class__ = PackedRecurrentDictRolloutBuffer
    return model, stock, packed


def _pairs(stock, packed, batch_size: int | None):
    np.random.seed(3)  # noqa: NPY002  # the buffer draws its split from the global generator
    stock_batches = list(stock.get(batch_size))
    np.random.seed(3)  # noqa: NPY002
    return zip(stock_batches, packed.get(batch_size), strict=True)


@pytest.mark.parametrize("scheme", ACTION_SPACES)
@pytest.mark.parametrize("batch_size", [16, 60, None])
def test_same_rows_in_the_same_order(scheme: str, batch_size: int | None):
    _, stock, packed = _filled(scheme)
    n_padding = 0
    for padded, rows in _pairs(stock, packed, batch_size):
        mask = padded.mask > 0
        n_padding += int((~mask).sum())
        assert rows.mask.shape == (int(mask.sum()),) and bool((rows.mask == 1).all())
        for name in ("actions", "old_values", "old_log_prob", "advantages", "returns"):
            got, want = getattr(rows, name), getattr(padded, name)[mask]
            assert th.equal(got, want) and got.dtype == want.dtype, name
        assert th.equal(rows.episode_starts, padded.episode_starts[mask])
        for key, want in padded.observations.items():
            assert th.equal(rows.observations[key], want[mask])
            assert rows.observations[key].dtype == want.dtype
        for got_states, want_states in zip(rows.lstm_states, padded.lstm_states, strict=True):
            assert th.equal(got_states[0], want_states[0])
            assert th.equal(got_states[1], want_states[1])
        starts = rows.lstm_states.pi[2].tolist()
        assert starts[0] == 0 and starts == sorted(set(starts))
        within = set(range(len(rows.mask))) - set(starts)
        assert not rows.episode_starts[sorted(within)].any()
    assert n_padding > 0  # else the comparison shows nothing


@pytest.mark.parametrize(
    "critic",
    [{}, {"shared_lstm": True, "enable_critic_lstm": False}, {"enable_critic_lstm": False}],
    ids=["own", "shared", "none"],
)
@pytest.mark.parametrize("n_lstm_layers", [1, 2])
def test_packed_losses_and_gradients_are_the_stock_ones(critic: dict, n_lstm_layers: int):
    model, stock, packed = _filled(n_lstm_layers=n_lstm_layers, **critic)
    stock_policy = model.policy
    policy = _model(GlimpseLstmPolicy, n_lstm_layers=n_lstm_layers, **critic).policy
    policy.load_state_dict(stock_policy.state_dict())
    for padded, rows in _pairs(stock, packed, 16):
        mask = padded.mask > 0
        results = []
        for net, batch, kept in ((stock_policy, padded, mask), (policy, rows, rows.mask > 0)):
            values, log_prob, entropy = net.evaluate_actions(
                batch.observations, batch.actions, batch.lstm_states, batch.episode_starts
            )
            value_loss = ((batch.returns - values.flatten()) ** 2)[kept].mean()
            ratio = th.exp(log_prob - batch.old_log_prob)
            loss = value_loss - (batch.advantages * ratio)[kept].mean() - entropy[kept].mean()
            net.zero_grad()
            loss.backward()
            results.append((values[kept], log_prob[kept], entropy[kept], loss))
        th.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-6)
        for (name, got), want in zip(
            policy.named_parameters(), stock_policy.parameters(), strict=True
        ):
            th.testing.assert_close(got.grad, want.grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("scheme", ACTION_SPACES)
def test_training_with_the_callback_ends_where_the_stock_does(scheme: str):
    # One after the other: making a model seeds the global generators
    stock = _model(StockPolicy, scheme).learn(120)
    packed = _model(GlimpseLstmPolicy, scheme).learn(120, callback=PackedSequences())
    assert type(stock.rollout_buffer) is RecurrentDictRolloutBuffer
    assert type(packed.rollout_buffer) is PackedRecurrentDictRolloutBuffer
    np.testing.assert_allclose(
        packed.policy.parameters_to_vector(), stock.policy.parameters_to_vector(), atol=1e-4
    )


def test_callback_keeps_a_packed_buffer_and_the_settings():
    model = _model()
    stock = model.rollout_buffer
    model.learn(60, callback=PackedSequences())
    buffer = model.rollout_buffer
    for name in ("buffer_size", "n_envs", "gamma", "gae_lambda", "hidden_state_shape", "device"):
        assert getattr(buffer, name) == getattr(stock, name)
    model.learn(60, callback=PackedSequences(), reset_num_timesteps=False)
    assert model.rollout_buffer is buffer


def test_callback_refuses_other_algorithms_and_policies():
    env = make_vec_env(TinyGlimpse, 1)
    with pytest.raises(ValueError, match="got PPO with GlimpsePolicy"):
        PPO(GlimpsePolicy, env, n_steps=8, batch_size=8, device="cpu").learn(
            8, callback=PackedSequences()
        )
    with pytest.raises(ValueError, match="got RecurrentPPO with RecurrentMultiInput"):
        RecurrentPPO(
            "MultiInputLstmPolicy",
            make_vec_env(lambda: TinyGlimpse(glimpse=(40, 40, 1)), 1),
            n_steps=8,
            device="cpu",
        ).learn(8, callback=PackedSequences())
