"""The listings of the internship report, sections 4.3.1 and 4.3.2, in its syntax and in ours.

Changed are: what a listing leaves out ("#Function from the RL framework"), and TensorFlow, in whose
place PyTorch's tensors stand.
"""

from __future__ import annotations

from types import SimpleNamespace

import gymnasium
import pytest
import torch as th
from stable_baselines3 import PPO

from glimpse_lab.graph import (
    Graph,
    Input,
    Loop,
    Module,
    Output,
    PortTypeError,
    RL_Module,
    RLInput,
    RLModule,
)

tf = SimpleNamespace(Tensor=th.Tensor)


class DoubleModule(Module):
    """Of the report's first listing."""

    def __init__(self):
        self["*a"] = float  # definition of port a as float
        self["*b"] = float  # definition of port b as float

    def run(self):
        self["b"] = self["a"] * 2  # Use the value of port a to double it and put it in port b


class ModernDouble(Module):
    """The same in our spelling."""

    a = Input(float)
    b = Output(float)

    def run(self):
        self["b"] = self["a"] * 2


@pytest.mark.parametrize("kind", [DoubleModule, ModernDouble])
def test_the_listing_of_typed_ports(kind: type[Module], capsys: pytest.CaptureFixture) -> None:
    d = kind()
    print(d["a"])
    d["a"] = 5.0
    d.run()
    print(d["b"])
    d["a"] = int  # Will autoconvert the initial value in a to int
    assert type(d["a"]) is int
    with pytest.raises(PortTypeError) as raised:
        d.run()
    print("Exception :", str(raised.value).split(";")[0])
    d["b"] = object  # Universal type
    d.run()
    print(d["b"])
    assert capsys.readouterr().out.splitlines() == [
        "None",
        "10.0",
        "Exception : port b has type float but received int value",
        "10",
    ]
    assert kind.__name__ in str(raised.value)


def test_the_listing_of_connections_and_of_a_loop() -> None:
    # Define module 1
    module1 = Module()
    module1["*a"] = int
    # Define module 2
    module2 = Module()
    module2["*a"] = int
    # Connect module1["a"] to module2["a"] (-> direction of arrows)
    module1[">a"]([module2[">a"]])

    loop = Loop([module1, module2], nb=1)
    module1["a"] = 5
    assert module2["a"] is None
    loop.run()
    assert module2["a"] == 5


def test_a_loop_in_the_modern_spelling() -> None:
    first, second, third = ModernDouble(), ModernDouble(), ModernDouble()
    first.b >> [second.a, third.a]  # one to many
    first["a"] = 1.0
    Loop([first, second, third]).run()
    assert (second["b"], third["b"]) == (4.0, 4.0)


def test_iterations_feed_back() -> None:
    double = ModernDouble()
    double.b >> double.a
    double["a"] = 1.0
    Loop([double], nb=10).run()
    assert double["b"] == 2.0**10


def listing_of_a_graph(rl_module: Module) -> Graph:
    """Section 4.3.1: "a dummy example with empty modules to show how it works"."""
    # Definition of Modules (nodes)
    m1 = Module()
    m1["*action"] = tf.Tensor
    m1["*a"] = tf.Tensor
    m2 = Module()
    m2["*a"] = tf.Tensor
    m2["*obs"] = tf.Tensor
    m2["*reward"] = tf.Tensor
    # Definition of connections
    rl_module[">output"]([m1[">action"]])
    m1[">a"]([m1[">a"]])
    m2[">obs"]([rl_module[">input"]])
    m2[">reward"]([rl_module[">reward"]])
    # Definition of the graph
    loop = Loop([m1, m2, rl_module], nb=10)  # Run 10 times the list
    return Graph(loop, seed=0)


@pytest.mark.filterwarnings("ignore:.*nothing was sent to port input")
def test_the_listing_of_a_graph() -> None:
    graph = listing_of_a_graph(RL_Module((10,), (2,)))
    assert isinstance(graph.environment, gymnasium.Env)
    assert isinstance(graph.agent, PPO)
    assert graph.environment.observation_space["input"].shape == (10,)
    assert graph.environment.action_space.shape == (2,)
    graph.agent.n_epochs = 1
    graph.run(1000)  # Run 1000 times the loop
    assert graph.agent.num_timesteps >= 1000


def test_what_nobody_fills_is_said() -> None:
    with pytest.warns(UserWarning, match="RL_Module: nothing was sent to port input"):
        listing_of_a_graph(RL_Module((10,), (2,)))


@pytest.mark.filterwarnings("ignore:.*nothing was sent to port input")
def test_the_listing_of_an_rl_module_with_run_after() -> None:
    heard = []

    class RL_Module(Module):
        def __init__(self, input_shape, output_shape):
            self["*input"] = (tf.Tensor, input_shape)  # Observation : type and shape
            self["*output"] = (tf.Tensor, output_shape)  # Action : type and shape
            self["*reward"] = (tf.Tensor, (None, 1))  # Reward : type and shape
            self.learn_fn = lambda env, nb_timesteps: (env, nb_timesteps)

        def run(self):
            raise RLInput(self["input"])  # raises the exception

        def run_after(self):
            heard.append(self["output"])  # output of the agent in the RL framework

    graph = listing_of_a_graph(RL_Module((10,), (2,)))
    heard.clear()
    env = graph.environment
    env.reset(seed=0)
    env.step([0.5, -0.5])
    assert isinstance(heard[-1], th.Tensor) and heard[-1].tolist() == [[0.5, -0.5]]
    vector, n = graph.run(1000)
    assert n == 1000 and isinstance(vector, gymnasium.vector.VectorEnv)
    assert graph.agent == (vector, 1000)


class Walk(Module):
    """A point that actions move; what it earns is how near it is to 1."""

    action = Input((th.Tensor, (1,)), optional=True)
    place = Output((th.Tensor, (1,)))
    reward = Output((th.Tensor, (None, 1)))

    def begin(self, episode):
        super().begin(episode)
        self["action"], self["place"] = None, th.zeros(episode.n, 1)

    def run(self):
        if self["action"] is not None:
            self["place"] = self["place"] + self["action"]
        self["reward"] = 1.0 - (1.0 - self["place"]).abs()


def test_a_graph_of_ones_own_in_the_modern_spelling() -> None:
    walk = Walk()
    agent = RLModule((th.Tensor, (1,)), (th.Tensor, (1,)))
    walk.place >> agent.observation
    walk.reward >> agent.reward
    agent.action >> walk.action
    graph = Graph(Loop([walk, Loop([agent, walk], nb=3)]), seed=0)
    env = graph.environment
    assert env.reset(seed=0)[0]["observation"] == [0.0]
    rewards = []
    for _ in range(3):
        observation, reward, terminated, truncated, _ = env.step([0.5])
        rewards.append(reward)
    assert rewards == [0.5, 1.0, 0.5] and terminated and not truncated
    assert observation["observation"] == [1.5]


def test_nothing_is_seen_of_the_episode_before() -> None:
    walk = Walk()
    agent = RLModule((th.Tensor, (1,)), (th.Tensor, (1,)))
    walk.place >> agent.observation
    agent.action >> walk.action
    with pytest.warns(UserWarning, match="module RLModule: nothing was sent to port observation"):
        env = Graph(Loop([agent, walk], nb=2), seed=0).environment  # the walk comes too late
        for _ in range(2):
            assert env.reset(seed=0)[0]["observation"] == [0.0]
            env.step([0.5])
            assert env.step([0.5])[0]["observation"] == [1.0]
