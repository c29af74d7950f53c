"""The policies: parity of prediction and evaluation, the fused LSTM, saving, learning."""

import itertools

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import CombinedExtractor
from tiny import ACTION_SPACES, N_CLASSES, TinyGlimpse, observation_space, observations

from glimpse_envs.boxview import BoxView
from policies import GlimpseLstmPolicy, GlimpsePolicy
from policies.lstm import run_padded

th.set_num_threads(1)

EXTRAS = [
    (),
    ("belief",),
    ("map",),
    ("classifier_features",),
    ("map", "belief", "classifier_features"),
]
CRITICS = {
    "own": {},
    "shared": {"shared_lstm": True, "enable_critic_lstm": False},
    "none": {"enable_critic_lstm": False},
    "own extractor": {"share_features_extractor": False},
}
SMALL = {
    "features_extractor_kwargs": {"encoder": "mlp", "encoded_dim": 16, "glimpse_dim": 16},
    "net_arch": {"pi": [16], "vf": [16]},
}


def _lstm_policy(scheme: str, extras: tuple[str, ...], **kwargs) -> GlimpseLstmPolicy:
    th.manual_seed(0)
    return GlimpseLstmPolicy(
        observation_space(extras=extras),
        ACTION_SPACES[scheme],
        lambda _: 1e-3,
        lstm_hidden_size=12,
        **{**SMALL, **kwargs},
    )


def _states(policy: GlimpseLstmPolicy, n_seq: int) -> RNNStates:
    layers, _, hidden = policy.lstm_hidden_state_shape
    pi, vf = ((th.randn(layers, n_seq, hidden), th.randn(layers, n_seq, hidden)) for _ in "pv")
    return RNNStates(pi, vf)


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize(("scheme", "extras"), list(itertools.product(ACTION_SPACES, EXTRAS)))
def test_prediction_equals_evaluation(scheme: str, extras: tuple[str, ...], critic: str):
    policy = _lstm_policy(scheme, extras, **CRITICS[critic])
    obs = observations(policy.observation_space, 6)
    states, starts = _states(policy, 6), th.tensor([0.0, 1.0] * 3)
    with th.no_grad():
        actions, values, log_prob, new_states = policy(obs, states, starts, deterministic=True)
        dist, dist_states = policy.get_distribution(obs, states.pi, starts)
        values_2, log_prob_2, entropy = policy.evaluate_actions(obs, actions, states, starts)
        values_3 = policy.predict_values(obs, states.vf, starts)
    th.testing.assert_close(values_2, values)
    # With a shared LSTM predict_values is given the critic's states, which then are the actor's
    if critic != "shared":
        th.testing.assert_close(values_3, values)
    th.testing.assert_close(log_prob_2, log_prob)
    th.testing.assert_close(dist.log_prob(actions), log_prob)
    th.testing.assert_close(dist_states, new_states.pi)
    assert entropy.isfinite().all()

    numpy_obs = {key: tensor.numpy() for key, tensor in obs.items()}
    numpy_states = tuple(state.numpy() for state in states.pi)
    predicted, _ = policy.predict(numpy_obs, numpy_states, starts.numpy(), deterministic=True)
    clipped = np.clip(actions.numpy(), -1, 1) if scheme == "Box" else actions
    np.testing.assert_allclose(predicted, clipped, atol=1e-6)


@pytest.mark.parametrize("critic", ["own", "shared", "none"])
def test_gradients_reach_what_they_should(critic: str):
    policy = _lstm_policy("MultiDiscrete", ("belief",), **CRITICS[critic])
    obs = observations(policy.observation_space, 6)
    actions = th.zeros(6, 3)
    values, log_prob, entropy = policy.evaluate_actions(
        obs, actions, _states(policy, 2), th.zeros(6)
    )
    values.sum().backward(retain_graph=True)
    # The actor's LSTM learns from the actor alone, a shared one too
    assert policy.lstm_actor.weight_ih_l0.grad is None
    if critic == "none":
        assert policy.critic.module.weight.grad.abs().sum() > 0
    (log_prob[:5].sum() + entropy.sum()).backward()
    assert policy.lstm_actor.weight_ih_l0.grad.abs().sum() > 0
    optimized = {id(p) for group in policy.optimizer.param_groups for p in group["params"]}
    assert optimized == {id(p) for p in policy.parameters()}
    assert all(p.grad is None or p.grad.isfinite().all() for p in policy.parameters())


@pytest.mark.parametrize("scheme", ["Discrete", "MultiDiscrete"])
def test_policy_answers_after_the_last_glimpse(scheme: str):
    policy = _lstm_policy(scheme, (), initial_stop_probability=0.01)
    obs = {key: t.numpy() for key, t in observations(policy.observation_space, 6).items()}
    for deterministic in (True, False):
        actions, _ = policy.predict(obs, deterministic=deterministic)
        answers = actions >= 6 if scheme == "Discrete" else actions[:, -1] > 0
        assert answers[-1]
        assert not deterministic or not answers[:-1].any()


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("length", [1, 5])
def test_fused_lstm_equals_the_stock_loop_bit_for_bit(n_layers: int, length: int):
    n_seq = 7
    lstm = th.nn.LSTM(20, 12, num_layers=n_layers)
    features = th.randn(n_seq * length, 20)
    states = (th.randn(n_layers, n_seq, 12), th.randn(n_layers, n_seq, 12))
    starts = th.zeros(n_seq, length)
    starts[::2, 0] = 1.0
    stock, stock_states = RecurrentActorCriticPolicy._process_sequence(
        features, states, starts.flatten(), lstm
    )
    fused, fused_states = run_padded(features, states, starts.flatten(), lstm)
    assert th.equal(fused, stock)
    assert all(th.equal(a, b) for a, b in zip(fused_states, stock_states, strict=True))


def test_starts_within_a_sequence_take_the_stock_loop():
    lstm, features = th.nn.LSTM(4, 3), th.randn(6, 4)
    zeros, ones = (th.zeros(1, 2, 3),) * 2, (th.ones(1, 2, 3),) * 2
    starts = th.tensor([0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    from_ones, _ = run_padded(features, ones, starts, lstm)
    from_zeros, _ = run_padded(features, zeros, starts, lstm)
    # What came before the start is forgotten
    assert th.equal(from_ones.view(2, 3, 3)[:, 1:], from_zeros.view(2, 3, 3)[:, 1:])
    assert not th.allclose(from_ones.view(2, 3, 3)[:, 0], from_zeros.view(2, 3, 3)[:, 0])


@pytest.mark.parametrize("scheme", ACTION_SPACES)
@pytest.mark.parametrize("critic", CRITICS)
def test_saved_lstm_policy_acts_the_same(tmp_path, scheme: str, critic: str):
    policy = _lstm_policy(
        scheme,
        ("belief",),
        n_lstm_layers=2,
        initial_stop_probability=0.3,
        entropy_weights=None if scheme == "Box" else {"class": 2.0},
        **CRITICS[critic],
    )
    _same_after_loading(policy, tmp_path)


@pytest.mark.parametrize(
    ("scheme", "argument", "message"),
    [
        ("Box", {"entropy_weights": {"class": 2.0}}, r"entropy_weights=.* no such argument: drop"),
        ("Box", {"continuous": "deterministic"}, r"continuous='deterministic'.* no such argument"),
        ("Discrete", {"gates": {"class": {"decision": 1}}}, r"gates=.* take entropy_weights: drop"),
        ("Discrete", {"entropy_weights": {"move": 2.0}}, r"of move; wanted that of 'class' alone"),
        ("Dict", {"gates": {"class": {"decision": 1}}}, r"gates=.* entropy_weights and continuous"),
        (
            "Dict",
            {"entropy_weights": {"clas": 2.0}},
            r"got part 'clas', which the actions have not; did you mean 'class'",
        ),
    ],
)
def test_arguments_that_the_actions_have_no_use_for_are_refused(scheme, argument, message):
    decision = {"decision": spaces.Discrete(2), "class": spaces.Discrete(N_CLASSES)}
    others = {"Box": spaces.Box(-1.0, 1.0, (2,)), "Dict": BoxView(spaces.Dict(decision))}
    space = others.get(scheme) or ACTION_SPACES[scheme]
    with pytest.raises(ValueError, match=message):
        GlimpsePolicy(observation_space(), space, lambda _: 1e-3, **argument)


def _same_after_loading(policy, tmp_path) -> None:
    path = str(tmp_path / "policy.pt")
    policy.save(path)
    loaded = type(policy).load(path, device="cpu")
    obs = {key: t.numpy() for key, t in observations(policy.observation_space, 6).items()}
    want, _ = policy.predict(obs, deterministic=True)
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], want)
    assert loaded.initial_stop_probability == policy.initial_stop_probability
    assert loaded.entropy_weights == policy.entropy_weights


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("scheme", ACTION_SPACES)
def test_memoryless_policy_predicts_what_it_evaluates(tmp_path, scheme: str, share: bool):
    policy = GlimpsePolicy(
        observation_space(extras=("map", "belief")),
        ACTION_SPACES[scheme],
        lambda _: 1e-3,
        share_features_extractor=share,
        **SMALL,
    )
    obs = observations(policy.observation_space, 6)
    with th.no_grad():
        actions, values, log_prob = policy(obs, deterministic=True)
        values_2, log_prob_2, _ = policy.evaluate_actions(obs, actions)
        th.testing.assert_close(policy.get_distribution(obs).log_prob(actions), log_prob)
        th.testing.assert_close(policy.predict_values(obs), values)
    th.testing.assert_close((values_2, log_prob_2), (values, log_prob))
    if scheme != "Box":
        assert policy.get_distribution(obs).stop_probability()[-1] == 1.0
    _same_after_loading(policy, tmp_path)


def test_another_features_extractor_works_without_bypass():
    policy = GlimpseLstmPolicy(
        observation_space(glimpse=(1, 40, 40)),  # its NatureCNN wants channels first
        ACTION_SPACES["MultiDiscrete"],
        lambda _: 1e-3,
        features_extractor_class=CombinedExtractor,
    )
    obs = observations(policy.observation_space, 3)
    actions, *_ = policy(obs, _states(policy, 3), th.ones(3))
    assert policy.bypass.dim == 0
    assert actions.shape == (3, 3)


@pytest.mark.parametrize("scheme", ACTION_SPACES)
@pytest.mark.parametrize("algorithm", [PPO, RecurrentPPO])
@pytest.mark.parametrize(("glimpse", "extras"), [((8, 8, 1), EXTRAS[-1]), ((8, 8, 9), ())])
def test_learns_and_is_saved_with_the_algorithm(
    tmp_path, algorithm, scheme: str, glimpse: tuple[int, ...], extras: tuple[str, ...]
):
    env = make_vec_env(lambda: TinyGlimpse(scheme, glimpse, extras), 2, seed=0)
    policy = GlimpsePolicy if algorithm is PPO else GlimpseLstmPolicy
    model = algorithm(
        policy, env, n_steps=8, batch_size=8, n_epochs=1, seed=0, policy_kwargs=SMALL, device="cpu"
    )
    before = model.policy.parameters_to_vector()
    model.learn(32)
    after = model.policy.parameters_to_vector()
    assert np.isfinite(after).all() and not np.array_equal(before, after)
    model.save(tmp_path / "model.zip")
    obs = env.reset()
    want, _ = model.predict(obs, deterministic=True)
    loaded = algorithm.load(tmp_path / "model.zip", device="cpu")
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], want)


@pytest.mark.parametrize(
    ("algorithm", "policy"), [(PPO, GlimpsePolicy), (RecurrentPPO, GlimpseLstmPolicy)]
)
def test_a_mean_baseline_is_one_number_that_is_learnt(tmp_path, algorithm, policy):
    env = make_vec_env(TinyGlimpse, 8, seed=0)
    kwargs = {**SMALL, "mean_baseline": True}
    model = algorithm(
        policy, env, n_steps=8, batch_size=64, learning_rate=0.01, seed=0, policy_kwargs=kwargs
    )
    model.learn(256)
    model.save(tmp_path / "model.zip")
    policy = algorithm.load(tmp_path / "model.zip", device="cpu").policy
    obs = observations(policy.observation_space, 6)
    if algorithm is PPO:
        values = policy.predict_values(obs)
    else:
        states = tuple(th.zeros(1, 6, policy.lstm_actor.hidden_size) for _ in range(2))
        values = policy.predict_values(obs, states, th.ones(6))
    assert (values == values[0]).all() and values[0] > 0.0


@pytest.mark.slow
def test_recurrent_ppo_learns_to_answer():
    env = make_vec_env(TinyGlimpse, 16, seed=0)
    model = RecurrentPPO(
        GlimpseLstmPolicy,
        env,
        learning_rate=3e-3,
        n_steps=32,
        batch_size=256,
        n_epochs=4,
        seed=0,
        policy_kwargs={**SMALL, "lstm_hidden_size": 16, "initial_stop_probability": 0.5},
        device="cpu",
    )
    model.learn(6000)
    rewards = [episode["r"] for episode in model.ep_info_buffer]
    assert np.mean(rewards) > 0.5  # chance is 0.25
