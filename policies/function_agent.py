"""An agent of another library, where one of Stable-Baselines3 is asked for its actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.boxview import BoxView
from glimpse_envs.config import GlimpseConfig


class FunctionAgent:
    """Plays by a function, for evaluations: whatever library has trained what is behind it.

    :param act: from the observations of n lanes, by key (n, ...), to their actions, (n, ...):
        the likeliest ones. Numbers of ``Box`` actions are clipped to the space. Where actions are
        a ``Dict``, those of its :class:`~glimpse_envs.boxview.BoxView`
    :param config: of the environment that it acts in
    """

    def __init__(self, act: Callable[[dict[str, NDArray]], NDArray], config: GlimpseConfig) -> None:
        self.act = act
        self.observation_space: spaces.Dict = config.observation_space
        space = config.action_space
        self.action_space = BoxView(space) if isinstance(space, spaces.Dict) else space

    def predict(
        self,
        observation: dict[str, NDArray],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray, Any]:
        """Return actions of n lanes, and the state as it was, as a model's ``predict`` does.

        :param observation: of n lanes
        :param state: returned as it is: the function has no memory of its own
        :param episode_start: not asked for
        :param deterministic: the function has no other actions
        :raises ValueError: if it is asked for random ones
        """
        if not deterministic:
            raise ValueError(
                "got deterministic=False; wanted True: a FunctionAgent knows the likeliest actions "
                "alone"
            )
        actions = np.asarray(self.act(observation))
        if isinstance(self.action_space, spaces.Box):
            actions = np.clip(actions, self.action_space.low, self.action_space.high)
        return actions, state
