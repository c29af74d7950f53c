"""Agents with actions of every kind, in graphs of modules of one's own."""

from __future__ import annotations

from itertools import pairwise

import gymnasium
import numpy as np
import pytest

from glimpse_lab.graph import Graph, GraphError, Input, Loop, Module, Output, RLInput, RLModule


class Counting(Module):
    """Counts actions of any kind."""

    action = Input(object, optional=True)
    count = Output((np.ndarray, (1,), np.float32))
    reward = Output((np.ndarray, (1,), np.float32))

    def begin(self, episode):
        super().begin(episode)
        self["count"] = np.zeros((episode.n, 1), np.float32)

    def run(self):
        self["count"] = self["count"] + 1
        self["reward"] = self["count"]


def counting(agent: Module) -> Graph:
    module = Counting()
    module.count >> agent.observation
    module.reward >> agent.reward
    agent.action >> module.action
    return Graph(Loop([module, Loop([agent, module], nb=3)]), seed=0, lanes=2)


@pytest.mark.parametrize(
    "space",
    [
        gymnasium.spaces.Box(1.0, 2.0, (2,)),
        gymnasium.spaces.Discrete(3),
        gymnasium.spaces.Discrete(3, start=1),
        gymnasium.spaces.MultiDiscrete([2, 3]),
        gymnasium.spaces.MultiBinary(3),
    ],
)
def test_actions_of_every_kind(space: gymnasium.Space) -> None:
    graph = counting(RLModule(action=space))
    env = graph.environment
    env.reset(seed=0)
    assert env.step(space.sample())[1] == 2.0
    if np.all(getattr(space, "start", 0) == 0):  # others SB3 does not take
        graph.agent.n_steps, graph.agent.n_epochs = 64, 1
        graph.agent._setup_model()
        graph.run(4)


def test_a_long_chain_of_modules() -> None:
    class Step(Module):
        value = Input(np.ndarray)
        output = Output(np.ndarray)

        def run(self):
            self["output"] = self["value"] + 1

    module, agent = Counting(), RLModule(action=gymnasium.spaces.Discrete(2))
    steps = [Step() for _ in range(300)]
    module.count >> steps[0].value
    for step, following in pairwise(steps):
        step.output >> following.value
    steps[-1].output >> agent.observation
    env = Graph(Loop([module, *steps, agent]), seed=0).environment
    assert env.reset(seed=0)[0]["observation"] == [301.0]


def test_actions_of_parts_are_refused() -> None:
    space = gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(2))
    with pytest.raises(GraphError, match=r"RLModule: port action has Dict.*wanted a Box"):
        counting(RLModule(action=space))


def test_learn_fn_may_be_a_method() -> None:
    class Agent(Module):
        observation = Input(np.ndarray)
        action = Output(gymnasium.spaces.Discrete(2))
        reward = Input(object)

        def learn_fn(self, env, nb_timesteps):
            return env.num_envs, nb_timesteps

        def run(self):
            raise RLInput

    assert counting(Agent()).run(5) == (2, 5)
