"""Imitation: an agent begins with a scripted gaze, and reinforcement learning goes on from it."""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch.nn import functional as F
from tqdm import tqdm

from glimpse_envs.boxview import BoxView
from glimpse_envs.components import resolve
from glimpse_envs.core import GlimpseCore
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.cotraining import cores_of
from policies.classifier.validation import plays_as_shown
from policies.ranges import checks_arguments
from policies.save_timer import SaveTimer

#: what the draws of a seed are for, beside those of the classifier's training
_DRAWS = 3


class Imitation(BaseCallback):
    """Teach an agent a scripted gaze before its first rollout, by maximum likelihood.

    A gaze whose worth shows late, such as a scan of the whole image, or one that finds a small
    object on a large canvas, is hardly found by chance: whoever begins with it can keep it, leave
    what does not pay, and learn when to stop. Each episode takes all glimpses of the budget; at
    each step the agent is to do what comes nearest to the gaze, or to answer what the classifier
    holds for likeliest: now and then, so that both are tried afterwards, or as soon as the
    classifier is sure. Some episodes go where the agent goes, so that it learns to find back from
    there. Its critic learns nothing, unless it is told to: then the returns of these episodes.

    With a classifier that is trained beforehand it stands after the callback that trains it. A
    training that is resumed goes on with it where it was stopped; without a classifier, whose file
    keeps how far it came, it begins anew.

    Source: dataset aggregation (Ross, Gordon and Bagnell 2011), or behaviour cloning with
    ``own_share`` 0; Silver et al. 2016 let reinforcement learning begin with it.

    :param gaze: a :class:`~glimpse_envs.strategies.ScriptedGaze` as an object, a name or a dict
    :param episodes: each seen once
    :param own_share: share of the episodes that follow the agent's own moves, in [0, 1]
    :param answer_share: share of the steps that are to answer, in [0, 1); without a classifier, or
        where the classifier answers, none are
    :param answer_above: answer, in place of that share, whenever the classifier holds a class for
        likelier than this, in (0, 1); None: at random
    :param critic: teach the critic the discounted rewards of these episodes, too, at whose end the
        agent answers. A critic that knows nothing moves the layers that it shares with the actor
        far in the first updates after imitation, which matters where the actor is to be exact
    :param learning_rate: of Adam, falling linearly to 0
    :param warmup: share of the updates in which the learning rate rises before, in [0, 1). Full
        first steps towards an exact gaze (a small ``log_std_init``) can make features so large that
        layers of tanh behind them saturate, and nothing is learnt any more
    :param batch_size: episodes of one update
    """

    @checks_arguments
    def __init__(
        self,
        *,
        gaze: Any,
        episodes: int = 20_000,
        own_share: float = 0.5,
        answer_share: float = 0.1,
        answer_above: float | None = None,
        critic: bool = False,
        learning_rate: float = 1e-3,
        warmup: float = 0.0,
        batch_size: int = 128,
    ) -> None:
        super().__init__()
        if not 1 <= episodes < 1e12 or batch_size < 1:
            raise ValueError(
                f"got episodes={episodes}, batch_size={batch_size}; wanted at least 1 of each"
            )
        if not 0 <= own_share <= 1 or not 0 <= answer_share < 1:
            raise ValueError(
                f"got own_share={own_share}, answer_share={answer_share}; wanted a share in [0, 1] "
                "and one in [0, 1)"
            )
        if answer_above is not None and not 0.0 < answer_above < 1.0:
            raise ValueError(f"got answer_above={answer_above}; wanted None, or a number in (0, 1)")
        if not 0.0 < learning_rate < np.inf:
            raise ValueError(f"got learning_rate={learning_rate}; wanted a number above 0")
        if not 0.0 <= warmup < 1.0:
            raise ValueError(f"got warmup={warmup}; wanted a share in [0, 1)")
        self.gaze = resolve(gaze, ScriptedGaze)
        self.episodes = int(episodes)
        self.own_share = own_share
        self.answer_share, self.answer_above = answer_share, answer_above
        self.critic, self.warmup = critic, warmup
        self.learning_rate, self.batch_size = learning_rate, batch_size
        self.n_done = 0
        #: called with the model at intervals, so that a kill loses little
        self.checkpoint: Callable[[Any], None] = lambda model: None

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs beside the weights."""
        return {"imitated": self.n_done}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state when training starts.

        :param state: what :meth:`state` gave; without it imitation begins anew
        :raises ValueError: for what is none
        """
        n_done = state.get("imitated", 0)
        if not isinstance(n_done, int) or n_done < 0:
            raise ValueError(f"got {n_done!r} imitated episodes; wanted a number from 0")
        self.n_done = n_done

    def _init_callback(self) -> None:
        cores_of(self.training_env)
        if not isinstance(self.model, OnPolicyAlgorithm) or not plays_as_shown(self.training_env):
            raise ValueError(
                f"Imitation got {type(self.model).__name__} in {self.training_env}; wanted PPO, "
                "RecurrentPPO or A2C in a GlimpseVecEnv without wrappers that change observations"
            )

        config = cores_of(self.training_env)[0].config
        answers = config.scheme.answers and config.classifier is not None
        if self.answer_above is not None and not answers:
            raise ValueError(
                f"Imitation got answer_above={self.answer_above}, and here no agent answers what a "
                "classifier holds for likeliest; wanted None"
            )

    def _on_training_start(self) -> None:
        if self.model.num_timesteps:
            return
        config, policy = cores_of(self.training_env)[0].config, self.model.policy
        n_updates = max(1, self.episodes // self.batch_size)
        first = self.n_done // self.batch_size
        if config.budget < 2 or first >= n_updates:
            return  # there is no gaze to learn, or it was learnt before
        seed = [int(self.model.seed or 0), _DRAWS, self.n_done]
        core = GlimpseCore(config, self.batch_size)
        answers = (self.answer_share, self.answer_above)
        lesson = _Lesson(core, self.gaze, self.own_share, answers, seed, ending=self.critic)
        optimizer = th.optim.Adam(policy.parameters(), lr=self.learning_rate)
        timer = SaveTimer()
        with tqdm(
            total=n_updates * self.batch_size,
            initial=first * self.batch_size,
            desc="imitation",
            unit=" episodes",
            mininterval=0.5 if sys.stderr.isatty() else 10.0,
            dynamic_ncols=True,
        ) as bar:
            for update in range(first, n_updates):
                for group in optimizer.param_groups:
                    group["lr"] = self.learning_rate * _rate(update, n_updates, self.warmup)
                observations, actions, rewards = lesson.give(policy)
                policy.set_training_mode(True)
                values, likelihood = _evaluate(policy, observations, actions, config.budget - 1)
                surprise = loss = -likelihood.mean()
                if self.critic:
                    wanted = th.as_tensor(_returns(rewards, self.model.gamma)).to(values)
                    loss = surprise + self.model.vf_coef * F.mse_loss(values, wanted)
                optimizer.zero_grad()
                loss.backward()
                th.nn.utils.clip_grad_norm_(policy.parameters(), self.model.max_grad_norm)
                optimizer.step()
                bar.update(self.batch_size)
                bar.set_postfix_str(f"{surprise.item():.2f} nats an action", refresh=False)
                self.n_done = (update + 1) * self.batch_size
                if timer.due():
                    with timer.saving():
                        self.checkpoint(self.model)
        policy.set_training_mode(False)
        self.logger.record("imitation/nats", surprise.item())

    def _on_step(self) -> bool:
        return True


def _rate(update: int, n_updates: int, warmup: float) -> float:
    """Return the share of the learning rate at an update."""
    rise = math.ceil(warmup * n_updates)
    return min(1.0, (update + 1) / max(1, rise)) * (1.0 - update / n_updates)


class _Lesson:
    """Episodes with what an agent is to do at each step.

    :param core: the lanes
    :param gaze: that is taught
    :param own_share: share of the lanes that go where the agent goes
    :param answers: share of the steps that are to answer, and the certainty that is to, or None
    :param seed: of images, scenes, gaze and answers
    :param ending: let the agent answer at the end, which draws from its generator
    """

    def __init__(
        self,
        core: GlimpseCore,
        gaze: ScriptedGaze,
        own_share: float,
        answers: tuple[float, float | None],
        seed: list[int],
        ending: bool = True,
    ) -> None:
        self.core, self.gaze, self.rng = core, gaze, np.random.default_rng(seed)
        self.own = np.arange(core.n_lanes) < round(own_share * core.n_lanes)
        config = core.config
        self.ending = ending
        self.answers = config.scheme.answers and config.classifier is not None
        self.answer_share, self.answer_above = answers
        space = config.action_space
        self.view = BoxView(space) if isinstance(space, spaces.Dict) else None
        core.seed_all(int(self.rng.integers(2**31)))

    def give(self, policy: Any) -> tuple[dict[str, NDArray], NDArray, NDArray[np.float32]]:
        """Return observations and actions, (lanes * steps, ...), lane by lane, and rewards.

        Rewards are of these steps, and of the answer at the end, (lanes, steps + 1).

        :param policy: of the agent
        """
        core, scheme = self.core, self.core.config.scheme
        observation, seen, done, state = core.reset(core.lanes), [], [], None
        rewards = np.zeros((core.n_lanes, core.config.budget), np.float32)
        for step in range(core.config.budget - 1):
            target = self.gaze.look(step, core, core.config, self.rng)
            wanted = actions = scheme.toward(target, core.gaze, core.geometry)
            if self.answers:
                lanes = self._answering().nonzero()[0]
                wanted = scheme.answering(actions, lanes, core.belief[lanes].argmax(axis=1))
            seen.append(observation)
            done.append(wanted if self.view is None else self.view.encode(wanted))
            if self.own.any():
                starts = np.full(core.n_lanes, step == 0)
                chosen, state = policy.predict(observation, state, starts)
                target[self.own] = self._gaze_of(chosen)[self.own]
                actions = scheme.toward(target, core.gaze, core.geometry)
            after = core.step(actions)
            observation, rewards[:, step] = after.observation, after.reward
        if scheme.answers and self.ending:
            chosen, _ = policy.predict(observation, state, np.zeros(core.n_lanes, bool))
            actions = chosen if self.view is None else self.view.decode(chosen)
            rewards[:, -1] = core.step(actions).reward
        together = {name: _lane_by_lane([step[name] for step in seen]) for name in seen[0]}
        return together, _lane_by_lane(done), rewards

    def _answering(self) -> NDArray[np.bool_]:
        """Return which lanes are to answer now, bool (lanes,)."""
        if self.answer_above is not None:
            return self.core.belief.max(axis=1) > self.answer_above
        return self.rng.random(self.core.n_lanes) < self.answer_share

    def _gaze_of(self, actions: NDArray) -> NDArray[np.float32]:
        """Return where actions of the agent would look, float32 (lanes, 3)."""
        config, core = self.core.config, self.core
        actions = actions if self.view is None else self.view.decode(actions)
        n_classes = config.dataset.n_classes
        return config.scheme.decode(actions, core.gaze, core.geometry, n_classes).gaze


def _lane_by_lane(steps: list[NDArray]) -> NDArray:
    """Return (lanes * steps, ...) of an array (lanes, ...) for each step."""
    stacked = np.stack(steps, axis=1)
    return stacked.reshape(-1, *stacked.shape[2:])


def _returns(rewards: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """Return the discounted rewards from each step on, episode by episode, (n * steps,).

    :param rewards: of all steps and of what is done after them, (n, steps + 1)
    :param gamma: the discount of a step
    """
    returns = rewards.copy()
    for step in reversed(range(rewards.shape[1] - 1)):
        returns[:, step] += gamma * returns[:, step + 1]
    return returns[:, :-1].reshape(-1)


def _evaluate(
    policy: Any, observations: dict[str, NDArray], actions: NDArray, n_steps: int
) -> tuple[th.Tensor, th.Tensor]:
    """Return values and log-probabilities of whole episodes one after the other, (n,) each.

    :param policy: of Stable-Baselines3, actor and critic
    :param observations: (n, ...)
    :param actions: (n, ...)
    :param n_steps: of each episode
    """
    seen, _ = policy.obs_to_tensor(observations)
    taken = th.as_tensor(actions, device=policy.device)
    if not isinstance(policy, RecurrentActorCriticPolicy):
        values, likelihood, _ = policy.evaluate_actions(seen, taken)
        return values.flatten(), likelihood
    starts = np.arange(len(actions)) % n_steps == 0
    layers, _, size = policy.lstm_hidden_state_shape
    nothing = th.zeros(layers, int(starts.sum()), size, device=policy.device)
    states = RNNStates((nothing, nothing), (nothing, nothing))
    begins = th.as_tensor(starts, dtype=th.float32, device=policy.device)
    values, likelihood, _ = policy.evaluate_actions(seen, taken, states, begins)
    return values.flatten(), likelihood
