"""The module that an agent acts through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from glimpse_envs.observation_space import image_space
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.module import Module, RLInput
from glimpse_lab.graph.ports import Port

#: trains an agent: from a vector environment and a number of timesteps to the agent
LearnFn = Callable[[Any, int], Any]


class RLModule(Module):
    """What an agent sees and does: its ports are ``observation``, ``action`` and ``reward``.

    ``run`` asks the agent for an action, which lies in the port ``action`` when ``run_after`` is
    called. The reward is what was sent to the port ``reward`` since the action before, 0 if nothing
    was.

    :param observation: type of the observation
    :param action: type of the action, best a Gymnasium space; of a shape alone
        ``Box(-1, 1, shape)`` is made
    :param learn_fn: of the user's own, (vector environment, number of timesteps) -> agent; or one
        for each framework by its name. None for what the framework has
    """

    observation_names: ClassVar[tuple[str, ...]] = ("observation",)
    action_name: ClassVar[str] = "action"
    reward_name: ClassVar[str] = "reward"

    def __init__(
        self,
        observation: Any = np.ndarray,
        action: Any = np.ndarray,
        *,
        learn_fn: LearnFn | Mapping[str, LearnFn] | None = None,
    ) -> None:
        for name in self.observation_names:
            if name not in self._ports:
                self[f"*{name}"] = observation
        self[f"*{self.action_name}"] = action
        self[f"*{self.reward_name}"] = object
        self.learn_fn = learn_fn

    def run(self) -> None:
        """Ask the agent for an action."""
        raise RLInput

    def reads(self, output: str) -> Iterable[str]:
        """Return the ports that an output is computed from: what the agent observes."""
        return self.observation_names

    def make_agent(self, env: VecEnv, *, seed: int | None, device: str) -> BaseAlgorithm:
        """Return the untrained agent of Stable-Baselines3."""
        return PPO("MultiInputPolicy", env, seed=seed, device=device)

    def lane_space(self, name: str, value: NDArray) -> spaces.Space:
        """Return the space of one lane of an observation port that declares none.

        :param name: of the port
        :param value: what it holds in some lanes
        """
        if value.dtype == np.uint8 and value.ndim == 4:
            return image_space(value.shape[1:])
        return spaces.Box(-np.inf, np.inf, value.shape[1:], np.float32)


class RL_Module(RLModule):  # the report's name
    """The report's module: ports ``input``, ``output`` and ``reward``, for tensors of PyTorch.

    :param input_shape: of an observation
    :param output_shape: of an action, whose entries lie in [-1, 1]
    """

    observation_names = ("input",)
    action_name = "output"

    def __init__(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        super().__init__((th.Tensor, input_shape), (th.Tensor, output_shape))


_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class RLPorts(NamedTuple):
    """Where an agent acts.

    :ivar module: the RL module
    :ivar observations: ports of what the agent sees, those that are connected
    :ivar action: the port of its action
    :ivar reward: the port of its reward
    """

    module: Module
    observations: tuple[Port, ...]
    action: Port
    reward: Port

    @classmethod
    def of(cls, module: Module) -> RLPorts | None:
        """Return those of a module; None if it is no RL module.

        Any module with an attribute ``learn_fn`` is one, with ports ``input`` or ``observation``,
        ``output`` or ``action``, and ``reward``.
        """
        learns = "learn_fn" in vars(module) or hasattr(type(module), "learn_fn")
        if not isinstance(module, RLModule) and not learns:
            return None
        names = getattr(module, "observation_names", None) or [
            name for name in ("observation", "input") if name in module.ports
        ]
        observations = [port for port in map(module.port, names) if port.sources]
        action = "action" if "action" in module.ports else "output"
        return cls(
            module,
            tuple(observations),
            module.port(action),
            module.port("reward"),
        )


def action_space(rl: RLPorts) -> spaces.Space:
    """Return the action space of one lane.

    :raises GraphError: where the action's type tells neither space nor shape, or a space of parts
    """
    declared = rl.action.type
    if declared.space is not None:
        if not isinstance(declared.space, _SPACES):
            raise GraphError(
                f"module {rl.module.name}: port {rl.action.name} has {declared.space}; wanted a "
                "Box, Discrete, MultiDiscrete or MultiBinary"
            )
        return declared.space
    if declared.shape is None or None in declared.shape:
        raise GraphError(
            f"module {rl.module.name}: port {rl.action.name} has type {declared}; wanted a "
            "Gymnasium space, or a shape, so that an agent knows what it can do"
        )
    return spaces.Box(-1.0, 1.0, declared.shape, np.float32)
