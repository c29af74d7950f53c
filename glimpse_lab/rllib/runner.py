"""The env runner: our batched environment, stepped for all lanes at once."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from numpy.typing import NDArray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.metrics import EPISODE_LEN_MEAN, EPISODE_RETURN_MEAN

import glimpse_envs  # noqa: F401  # registers the ids
from glimpse_envs.boxview import BoxView
from glimpse_envs.faces import LaneVectorEnv
from glimpse_lab.rllib.module import BranchedModule

#: of the end of an episode, what the learner and the metrics need
_FINAL = ("label", "n_glimpses", "samples", "is_success")


class LanesRunner(SingleAgentEnvRunner):
    """Steps a vector of lanes with one forward pass for all, and gives whole episodes.

    RLlib's own runner keeps a Python object for each lane and step, and wants vectors that reset a
    lane in a step of its own. Here a lane that ended is reset in the same step, rows are written to
    arrays, and objects are made for episodes alone. An episode is given when it has ended: its
    first steps may have been made with the weights before. No episode is cut, so that none needs a
    value to stand for its rest.
    """

    def make_env(self) -> None:
        """Make the lanes, with an environment id and arguments from the configuration."""
        if self.env is not None:
            self.env.close()
        lanes = gym.make_vec(
            self.config.env,
            num_envs=self.config.num_envs_per_env_runner,
            vectorization_mode="vector_entry_point",
            **self.config.env_config,
        )
        if not isinstance(lanes.unwrapped, LaneVectorEnv):
            raise ValueError(f"got environment {self.config.env}; wanted one of glimpse_envs")
        self.env, self.num_envs = lanes, lanes.num_envs
        space = lanes.single_action_space
        self.view = BoxView(space) if isinstance(space, gym.spaces.Dict) else None
        self._needs_initial_reset = True
        self._refresh = self._random = False
        self._share_classifier()  # of lanes made anew; the first ones are made before the module

    def get_spaces(self) -> dict[str, Any]:
        """Return the spaces; Dict actions as one Box."""
        if self.env is None:
            return self.spaces
        env = self.env
        single = (env.single_observation_space, self.view or env.single_action_space)
        return {
            INPUT_ENV_SPACES: (env.observation_space, env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            DEFAULT_MODULE_ID: single,
        }

    def make_module(self) -> None:
        """Make the network, whose trunk and classifier branch are the environment's classifier."""
        super().make_module()
        self._share_classifier()

    def _share_classifier(self) -> None:
        """Let module and lanes have one classifier, with the module's weights."""
        module = getattr(self, "module", None)
        if self.env is not None and isinstance(module, BranchedModule):
            classifier = self.env.unwrapped.config.classifier
            classifier.load_state_dict(module.classifier.state_dict())
            module.classifier = classifier

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over new weights; running episodes are then read anew."""
        super().set_state(state)
        self._refresh = True

    def _sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[SingleAgentEpisode]:
        """Return ended episodes of at least so many steps, or so many of them."""
        anew = force_reset or num_episodes is not None or self._needs_initial_reset
        if anew or random_actions != self._random:  # no episode is partly random
            self._begin()
        elif self._refresh:
            self._observation = self.env.unwrapped.core.refresh()
        self._refresh, self._random = False, random_actions
        if num_episodes is None:
            episodes = self._of_steps(num_timesteps, explore, random_actions)
        else:
            episodes = self._of_number(num_episodes, explore, random_actions)
        steps = sum(map(len, episodes))
        self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=steps)
        self._increase_sampled_metrics(steps, len(episodes))
        self._log_episodes(episodes)
        return episodes

    def _of_steps(self, n: int, *how: bool) -> list[SingleAgentEpisode]:
        """Return the next episodes that end, of at least ``n`` steps together."""
        episodes: list[SingleAgentEpisode] = []
        steps = 0
        while steps < n:
            ended = self._step(*how)
            episodes += ended.values()
            steps += sum(map(len, ended.values()))
        return episodes

    def _of_number(self, n: int, *how: bool) -> list[SingleAgentEpisode]:
        """Return ``n`` episodes of lanes that have just begun.

        How many each lane gives is settled before: the first ``n`` to end would be short ones.
        """
        lanes = np.arange(self.num_envs)
        wanted = n // self.num_envs + (lanes < n % self.num_envs)
        episodes: list[SingleAgentEpisode] = []
        while wanted.any():
            for lane, episode in self._step(*how).items():
                if wanted[lane]:
                    wanted[lane] -= 1
                    episodes.append(episode)
        return episodes

    def seeds(self) -> list[int] | None:
        """Return a seed for each lane; None where the configuration has none.

        No other runner has them, nor this one after it began anew: the timesteps done so far,
        which RLlib tells it, are part of them.
        """
        if self.config.seed is None:
            return None
        done = int(self.num_env_steps_sampled_lifetime)
        place = [self.worker_index or 0, int(self.config.in_evaluation)]
        sequence = np.random.SeedSequence([self.config.seed, *place, done])
        return sequence.generate_state(self.num_envs, np.uint64).tolist()

    def _begin(self) -> None:
        seeds = self.seeds() if self._needs_initial_reset else None
        self._observation, _ = self.env.reset(seed=seeds)
        self._needs_initial_reset = False
        self._taken = np.zeros(self.num_envs, np.int64)  # steps of each lane's episode
        self._rows: dict[str, NDArray] = {}

    def _step(self, explore: bool, random_actions: bool) -> dict[int, SingleAgentEpisode]:
        """Step all lanes; return the episodes that have ended, by lane."""
        before = {f"obs {name}": self._observation[name] for name in self.module.needed}
        self._write(before, self._taken)
        acted = self._act(explore, random_actions)
        observation, rewards, ended, _, infos = self.env.step(self._for_env(acted["actions"]))
        self._write({**acted, "rewards": rewards.astype(np.float32)}, self._taken)
        self._taken += 1
        episodes = {}
        if ended.any():
            final = infos["final_info"]
            for lane in ended.nonzero()[0]:
                last = infos["final_obs"][lane]
                told = {name: final[name][lane].item() for name in _FINAL}
                episodes[int(lane)] = self._cut_out(lane, last, told)
            self._taken[ended] = 0
        self._observation = observation
        return episodes

    def _act(self, explore: bool, random_actions: bool) -> dict[str, NDArray]:
        """Return actions, log-probabilities and parameters of all lanes."""
        if random_actions:
            space = self.view or self.env.single_action_space
            return {"actions": np.stack([space.sample() for _ in range(self.num_envs)])}
        observation = {key: th.as_tensor(rows) for key, rows in self._observation.items()}
        forward = self.module.forward_exploration if explore else self.module.forward_inference
        parameters = forward({Columns.OBS: observation})[Columns.ACTION_DIST_INPUTS]
        distribution = self.module.action_dist_cls.from_logits(parameters)
        if not explore:
            distribution = distribution.to_deterministic()
        actions = distribution.sample()
        return {
            "actions": actions.numpy(),
            Columns.ACTION_LOGP: distribution.logp(actions).numpy(),
            Columns.ACTION_DIST_INPUTS: parameters.numpy(),
        }

    def _for_env(self, actions: NDArray) -> Any:
        """Return actions as the environment takes them: clipped, Dicts where it wants some."""
        space = self.view or self.env.single_action_space
        if isinstance(space, gym.spaces.Box):
            actions = np.clip(actions, space.low, space.high)
        return actions if self.view is None else self.view.decode(actions)

    def _write(self, rows: dict[str, NDArray], at: NDArray[np.int64]) -> None:
        """Write a row of each lane to its place in the lane's episode."""
        longest = self.env.unwrapped.config.budget + 1
        lanes = self.env.unwrapped.core.lanes
        for name, row in rows.items():
            if name not in self._rows:
                shape = (self.num_envs, longest, *row.shape[1:])
                self._rows[name] = np.zeros(shape, row.dtype)
            self._rows[name][lanes, at] = row

    def _cut_out(
        self, lane: int, last: dict[str, NDArray], told: dict[str, Any]
    ) -> SingleAgentEpisode:
        """Return the episode that a lane has just ended.

        :param last: its last observation
        :param told: its final info
        """
        n = int(self._taken[lane])

        def rows(name: str) -> InfiniteLookbackBuffer:
            return InfiniteLookbackBuffer(self._rows[name][lane, :n].copy())

        shown = {
            name: np.concatenate([self._rows[f"obs {name}"][lane, :n], last[name][None]])
            for name in self.module.needed
        }
        known = (Columns.ACTION_LOGP, Columns.ACTION_DIST_INPUTS)
        return SingleAgentEpisode(
            observations=InfiniteLookbackBuffer(shown),
            actions=rows("actions"),
            rewards=rows("rewards"),
            infos=[{}] * n + [told],
            extra_model_outputs={name: rows(name) for name in known if name in self._rows},
            terminated=True,
            len_lookback_buffer=0,
        )

    def _log_episodes(self, episodes: list[SingleAgentEpisode]) -> None:
        """Log means once: a call for each episode would take as long as stepping it."""
        if not episodes:
            return
        told = [episode.get_infos(-1) for episode in episodes]
        means = {
            EPISODE_LEN_MEAN: np.mean([len(episode) for episode in episodes]),
            EPISODE_RETURN_MEAN: np.mean([episode.rewards.data.sum() for episode in episodes]),
            "accuracy": np.mean([info["is_success"] for info in told]),
            "n_glimpses": np.mean([info["n_glimpses"] for info in told]),
        }
        for name, mean in means.items():
            self.metrics.log_value(name, float(mean), window=1)
