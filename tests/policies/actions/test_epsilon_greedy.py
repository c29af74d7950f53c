"""Epsilon-greedy behaviour: the exact mixture, its schedule, and PPO on it."""

import numpy as np
import pytest
import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from tiny import N_CLASSES, TinyGlimpse
from updates import assert_ratios_are_one

from glimpse_envs.sb3 import GlimpseVecEnv
from policies import EpsilonGreedy, GlimpseLstmPolicy, GlimpsePolicy, PackedSequences
from policies.actions.factored import FactoredCategoricalDistribution
from policies.extractors.layers import BypassLayout

th.set_num_threads(1)

N_MOVES, LATENT = 6, 8
N_ACTIONS = N_MOVES + N_CLASSES
EPSILONS = [0.05, 0.3, 1.0]
SMALL = {"features_extractor_kwargs": {"encoder": "mlp", "encoded_dim": 16}, "net_arch": [16]}


def _law(epsilon: float) -> FactoredCategoricalDistribution:
    distribution = FactoredCategoricalDistribution(N_ACTIONS, N_MOVES, bypass=BypassLayout())
    distribution.epsilon = epsilon
    return distribution


def _logits(n: int = 5, last: bool = True) -> th.Tensor:
    """What a head gives that is far from uniform; the last row is after the last glimpse."""
    th.manual_seed(0)
    head = _law(0.0).proba_distribution_net(LATENT + 1)
    for layer in (head.stop, head.classes, head.moves):
        th.nn.init.normal_(layer.weight)
    columns = th.zeros(n, 1)
    columns[-1] = last
    return head(th.cat([th.randn(n, LATENT), columns], dim=1))


# ---- the distribution ----


@pytest.mark.parametrize("epsilon", [0.0, *EPSILONS])
def test_probabilities_are_the_mixture_with_uniform_ones(epsilon: float):
    logits, distribution = _logits(last=False), _law(epsilon)
    distribution.proba_distribution(logits)
    want = (1.0 - epsilon) * logits.softmax(dim=1) + epsilon / N_ACTIONS
    th.testing.assert_close(distribution.distribution.probs, want, atol=1e-7, rtol=1e-5)
    for action in range(N_ACTIONS):
        log_prob = distribution.log_prob(th.full((5,), action))
        th.testing.assert_close(log_prob, want[:, action].log())
    th.testing.assert_close(distribution.entropy(), -(want * want.log()).sum(dim=1))


def test_logits_that_are_not_normalised_give_the_same_mixture():
    logits, distribution = _logits(last=False), _law(0.3)
    want = distribution.proba_distribution(logits).distribution.probs.clone()
    got = distribution.proba_distribution(logits + th.randn(5, 1)).distribution.probs
    th.testing.assert_close(got, want)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_after_the_last_glimpse_the_mixture_is_over_answers_alone(epsilon: float):
    logits, distribution = _logits(), _law(epsilon)
    distribution.proba_distribution(logits)
    answers = logits[-1, N_MOVES:].softmax(dim=0)
    probs = distribution.distribution.probs[-1]
    assert not probs[:N_MOVES].any()
    want = (1.0 - epsilon) * answers + epsilon / N_CLASSES
    th.testing.assert_close(probs[N_MOVES:], want, atol=1e-7, rtol=1e-5)
    assert (th.stack([distribution.sample()[-1] for _ in range(200)]) >= N_MOVES).all()
    log_prob = distribution.log_prob(th.zeros(5, dtype=th.long))[-1]
    assert log_prob.isfinite() and log_prob < -1e7


def test_epsilon_zero_is_the_plain_law_bit_for_bit():
    logits, distribution, plain = _logits(), _law(0.3), _law(0.0)
    distribution.proba_distribution(logits)
    distribution.epsilon = 0.0
    distribution.proba_distribution(logits)
    plain.proba_distribution(logits)
    assert th.equal(distribution.distribution.logits, plain.distribution.logits)
    assert th.equal(
        distribution.distribution.logits, th.distributions.Categorical(logits=logits).logits
    )


def test_epsilon_one_is_uniform_whatever_the_logits():
    distribution = _law(1.0).proba_distribution(_logits())
    want = th.full((5, N_ACTIONS), 1.0 / N_ACTIONS)
    want[-1] = th.tensor([0.0] * N_MOVES + [1.0 / N_CLASSES] * N_CLASSES)
    th.testing.assert_close(distribution.distribution.probs, want)


@pytest.mark.parametrize("epsilon", [0.0, 1e-6, *EPSILONS])
def test_log_prob_and_entropy_have_finite_gradients(epsilon: float):
    logits = _logits().detach()
    logits[0, 0] = 60.0  # near certain
    logits.requires_grad_()
    distribution = _law(epsilon).proba_distribution(logits)
    entropy = distribution.entropy()
    every = th.stack([distribution.log_prob(th.full((5,), action)) for action in range(N_ACTIONS)])
    assert entropy.isfinite().all() and every.isfinite().all() and (entropy >= -1e-6).all()
    (entropy.sum() + every.sum()).backward()
    assert logits.grad.isfinite().all()
    if epsilon == 1.0:  # chance alone: nothing to learn (impossible actions, never taken, apart)
        assert not logits.grad[:-1].any()


def test_gradients_are_those_of_the_mixture():
    logits, distribution = _logits().detach().requires_grad_(), _law(0.3)
    actions = th.tensor([0, 3, 7, 9, 8])
    distribution.proba_distribution(logits)
    (ours,) = th.autograd.grad(distribution.log_prob(actions).sum(), logits)
    n_possible = th.tensor([N_ACTIONS] * 4 + [N_CLASSES])
    chosen = logits.softmax(dim=1).gather(1, actions[:, None])[:, 0]
    (want,) = th.autograd.grad((0.7 * chosen + 0.3 / n_possible).log().sum(), logits)
    th.testing.assert_close(ours, want, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_samples_have_the_frequencies_of_the_mixture(epsilon: float):
    logits, n = _logits(2), 20_000
    distribution = _law(epsilon).proba_distribution(logits.repeat_interleave(n, dim=0))
    th.manual_seed(1)
    counts = th.stack(
        [part.bincount(minlength=N_ACTIONS) for part in distribution.sample().view(2, n)]
    )
    want = distribution.distribution.probs[::n]
    spread = (want * (1.0 - want) / n).sqrt()
    assert ((counts / n - want).abs() <= 4.5 * spread + 1e-9).all()


def test_the_mode_and_the_stop_probability_know_no_epsilon():
    logits = _logits(50).detach()
    plain = _law(0.0).proba_distribution(logits)
    mode, stop = plain.mode(), plain.stop_probability()
    assert 0 < (mode < N_MOVES).sum() < 50
    for epsilon in EPSILONS:
        distribution = _law(epsilon).proba_distribution(logits)
        assert th.equal(distribution.mode(), mode)
        assert th.equal(distribution.get_actions(deterministic=True), mode)
        assert th.equal(distribution.stop_probability(), stop)


# ---- the callback ----


class Diary(BaseCallback):
    """Writes down epsilon in every step, and what the training had come to at the rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[tuple[int, set[float]]] = []
        self.logged: list[float] = []

    def _on_rollout_start(self) -> None:
        self.rollouts.append((self.num_timesteps, set()))
        if len(self.rollouts) > 1:  # after the update on the last one
            self.rollouts[-2][1].add(self.before)

    def _on_step(self) -> bool:
        self.before = self.model.policy.action_dist.epsilon
        self.rollouts[-1][1].add(self.before)
        return True

    def _on_rollout_end(self) -> None:
        self.rollouts[-1][1].add(self.model.policy.action_dist.epsilon)
        self.logged.append(self.logger.name_to_value["rollout/epsilon"])


class SpyPPO(PPO):
    """Writes down epsilon in every update."""

    def train(self) -> None:
        distribution = self.policy.action_dist
        self.seen = [*getattr(self, "seen", []), distribution.epsilon]
        super().train()
        assert distribution.epsilon == self.seen[-1]


def _model(algorithm=PPO, scheme: str = "Discrete", **kwargs):
    policy = GlimpsePolicy if issubclass(algorithm, PPO) else GlimpseLstmPolicy
    return algorithm(
        policy,
        make_vec_env(lambda: TinyGlimpse(scheme), 4, seed=0),
        n_steps=16,
        batch_size=32,
        n_epochs=2,
        seed=0,
        policy_kwargs=SMALL,
        device="cpu",
        **kwargs,
    )


@pytest.mark.parametrize(
    ("progress", "want"), [(0.0, 0.8), (0.1, 0.65), (0.2, 0.5), (0.4, 0.2), (0.7, 0.2), (1.0, 0.2)]
)
def test_epsilon_falls_linearly_and_then_stays(progress: float, want: float):
    assert EpsilonGreedy(0.8, 0.2, fraction=0.4).epsilon(progress) == pytest.approx(want)


def test_epsilon_may_fall_over_the_whole_training_or_not_at_all():
    assert EpsilonGreedy(0.5, 0.0, fraction=1.0).epsilon(0.5) == pytest.approx(0.25)
    assert EpsilonGreedy(0.3, 0.3).epsilon(0.9) == pytest.approx(0.3)
    assert EpsilonGreedy().epsilon(0.0) == 0.2 and EpsilonGreedy().epsilon(1.0) == 0.0


@pytest.mark.parametrize(
    "kwargs", [{"initial": 1.5}, {"final": -0.1}, {"fraction": 0.0}, {"fraction": 1.1}]
)
def test_wrong_settings_are_named(kwargs: dict[str, float]):
    (name, value), *_ = kwargs.items()
    with pytest.raises(ValueError, match=f"{name}={value}.*wanted"):
        EpsilonGreedy(**kwargs)


def test_epsilon_follows_the_training_and_is_the_same_in_a_rollout_and_its_update():
    model, diary = _model(SpyPPO), Diary()
    model.learn(64 * 8, callback=[EpsilonGreedy(0.8, 0.0, fraction=0.5), diary])
    assert [steps for steps, _ in diary.rollouts] == [64 * k for k in range(8)]
    want = [0.8, 0.6, 0.4, 0.2, 0.0, 0.0, 0.0, 0.0]
    assert all(len(epsilons) == 1 for _, epsilons in diary.rollouts)
    assert [epsilons.pop() for _, epsilons in diary.rollouts] == pytest.approx(want)
    assert model.seen == pytest.approx(want) and diary.logged == pytest.approx(want)
    assert model.policy.action_dist.epsilon == 0.0


def test_after_training_the_behaviour_is_the_plain_one():
    model = _model().learn(128, callback=EpsilonGreedy(1.0, 1.0))
    assert model.policy.action_dist.epsilon == 0.0


def test_a_training_that_goes_on_goes_on_with_epsilon():
    model, diary = _model(), Diary()
    model.learn(128, callback=EpsilonGreedy(0.8, 0.0, fraction=1.0))
    model.learn(128, callback=[EpsilonGreedy(0.8, 0.0, 1.0), diary], reset_num_timesteps=False)
    # half of the whole training was done
    assert [epsilons.pop() for _, epsilons in diary.rollouts] == pytest.approx([0.4, 0.2])


@pytest.mark.parametrize("scheme", ["MultiDiscrete", "Box"])
def test_other_actions_are_refused(scheme: str):
    with pytest.raises(ValueError, match=r"EpsilonGreedy got .* wanted GlimpsePolicy .* Discrete"):
        _model(scheme=scheme).learn(64, callback=EpsilonGreedy())


def test_other_policies_are_refused():
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", 1), n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match="actions are CategoricalDistribution; wanted"):
        model.learn(8, callback=EpsilonGreedy())


# ---- with PPO ----


@pytest.mark.parametrize(
    ("algorithm", "packed"), [(PPO, False), (RecurrentPPO, False), (RecurrentPPO, True)]
)
def test_stored_log_probs_are_those_of_the_update(algorithm, packed: bool):
    model = algorithm(
        GlimpsePolicy if algorithm is PPO else GlimpseLstmPolicy,
        GlimpseVecEnv("GlimpseDigits-GreedyMap-v0", 16, seed=0, budget=4),
        n_steps=8,
        batch_size=64,
        seed=0,
        policy_kwargs={**SMALL, "initial_stop_probability": 0.3},
        device="cpu",
    )
    callbacks: list[BaseCallback] = [EpsilonGreedy(0.3, 0.3)]
    if packed:
        callbacks.append(PackedSequences())
    assert_ratios_are_one(model, callbacks)
    assert model.policy.action_dist.epsilon == 0.3


def test_what_is_done_follows_the_mixture_and_prediction_stays_greedy():
    env = make_vec_env(lambda: TinyGlimpse("Discrete"), 8, seed=0)
    model = PPO(GlimpsePolicy, env, n_steps=8, batch_size=8, policy_kwargs=SMALL, device="cpu")
    obs = env.reset()
    with th.no_grad():
        model.policy.action_net.moves.bias[2] += 30.0  # always to go up
        model.policy.action_net.stop_bias.fill_(-30.0)
    want, _ = model.predict(obs, deterministic=True)
    assert want.tolist() == [2] * 8
    model.policy.action_dist.epsilon = 0.5
    th.manual_seed(0)
    for _ in range(20):
        np.testing.assert_array_equal(model.predict(obs, deterministic=True)[0], want)
    taken = np.concatenate([model.predict(obs)[0] for _ in range(200)])
    share = (taken == 2).mean()
    assert share == pytest.approx(0.5 + 0.5 / N_ACTIONS, abs=0.05)
    assert set(taken) == set(range(N_ACTIONS))
