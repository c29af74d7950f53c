"""Libraries of reinforcement learning that train the agent of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from glimpse_envs.components import nearest
from glimpse_envs.faces import LaneVectorEnv
from glimpse_envs.faces_sb3 import LaneVecEnv
from glimpse_envs.lanes import Observation
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.rl import RLModule

if TYPE_CHECKING:
    from glimpse_lab.graph.graph import Graph


@dataclass(frozen=True)
class Framework:
    """How a library trains.

    :param make_env: from a graph to the environment of its lanes, in the library's own form
    :param make_agent: from a graph and that environment to the untrained agent
    :param learn: from an agent, a number of timesteps and the library's own arguments
    :param act: from an agent and observations of all lanes to its likeliest actions; None where
        that is not known: then beliefs are calibrated along a scripted gaze
    """

    make_env: Callable[[Graph], Any]
    make_agent: Callable[[Graph, Any], Any]
    learn: Callable[..., Any]
    act: Callable[[Any, Observation], Any] | None = None


_FRAMEWORKS: dict[str, Framework] = {}


def register_framework(name: str, framework: Framework) -> None:
    """Let graphs take ``framework=name``.

    :param name: of a library
    :param framework: how it trains
    """
    _FRAMEWORKS[name] = framework


def find_framework(name: str) -> Framework:
    """Return a framework by its name.

    :raises GraphError: for an unknown one
    """
    if name not in _FRAMEWORKS:
        raise GraphError(f"got framework={name!r}; {nearest(name, _FRAMEWORKS)}")
    return _FRAMEWORKS[name]


def sb3_environment(graph: Graph) -> VecMonitor:
    """Return the graph's own lanes as a vector environment of Stable-Baselines3."""
    return VecMonitor(LaneVecEnv(graph.spaces, graph.lanes, None, graph.seed, None))


def gymnasium_environment(graph: Graph) -> LaneVectorEnv:
    """Return the graph's own lanes as a vector environment of Gymnasium."""
    return LaneVectorEnv(graph.spaces, graph.lanes, None)


def _sb3_agent(graph: Graph, env: VecMonitor) -> Any:
    module = graph.rl.module
    if isinstance(module, RLModule):
        return module.make_agent(env, seed=graph.seed, device=graph.device)
    return PPO("MultiInputPolicy", env, seed=graph.seed, device=graph.device)


def _sb3_learn(agent: Any, n_timesteps: int, **arguments: Any) -> Any:
    try:
        return agent.learn(n_timesteps, reset_num_timesteps=False, **arguments)
    except (
        BaseException
    ):  # also an interruption, after which the next training begins episodes anew
        agent._last_obs = None
        raise


def _sb3_act(agent: Any, observation: Observation) -> Any:
    return agent.predict(observation, deterministic=True)[0]


register_framework("sb3", Framework(sb3_environment, _sb3_agent, _sb3_learn, _sb3_act))
