"""A trained module, evaluated as any other agent of the package is."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns

from glimpse_envs.boxview import BoxView
from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.metrics.episodes import Metrics, metrics
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.rllib.module import BranchedModule


class BranchedAgent:
    """Acts as a model of Stable-Baselines3 does.

    :param module: trained
    :param config: of the environment that it acts in
    """

    def __init__(self, module: BranchedModule, config: GlimpseConfig) -> None:
        self.module = module
        self.observation_space: spaces.Dict = config.observation_space
        space = config.action_space
        self.action_space = BoxView(space) if isinstance(space, spaces.Dict) else space

    def predict(
        self,
        observation: dict[str, NDArray],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray, Any]:
        """Return actions of n lanes, and the state as it was: the environment carries the trunk's.

        :param observation: of n lanes
        :param state: returned as it is
        :param episode_start: not asked for
        :param deterministic: take the mode
        """
        rows = {name: th.as_tensor(row) for name, row in observation.items()}
        parameters = self.module.forward_inference({Columns.OBS: rows})
        distribution = self.module.action_dist_cls.from_logits(
            parameters[Columns.ACTION_DIST_INPUTS]
        )
        if deterministic:
            distribution = distribution.to_deterministic()
        actions = distribution.sample().numpy()
        if isinstance(self.action_space, spaces.Box):
            actions = np.clip(actions, self.action_space.low, self.action_space.high)
        return actions, state


def evaluate_algorithm(algorithm: Algorithm, split: str = "test") -> Metrics:
    """Show every image of a split once, with deterministic actions.

    :param algorithm: made of a configuration of :func:`glimpse_lab.rllib.config.ppo`
    :param split: "train", "validation" or "test"
    :return: accuracy, glimpses, samples and coverage
    """
    module = algorithm.get_module(DEFAULT_MODULE_ID)
    if not isinstance(module, BranchedModule):
        raise ValueError(f"got an algorithm with {type(module).__name__}; wanted a BranchedModule")
    registered = gym.spec(algorithm.config.env).kwargs
    parts = {**registered, **algorithm.config.env_config, "classifier": module.classifier}
    config = make_config(**{**parts, "split": split})
    return metrics(evaluate(BranchedAgent(module, config), config))
