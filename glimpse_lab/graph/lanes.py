"""A graph as a simulation of lanes, which the faces of the environments show."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from glimpse_envs.arrays import as_array
from glimpse_envs.lanes import Lanes, Observation, Step
from glimpse_envs.observation_space import ObservationSpace
from glimpse_lab.graph.data import Database
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.loop import Loop
from glimpse_lab.graph.module import Episode, Module
from glimpse_lab.graph.ports import Port
from glimpse_lab.graph.rl import RLModule, RLPorts, action_space


@dataclass(frozen=True)
class GraphSpaces:
    """What the faces of an environment ask of a graph.

    :param observation_space: of one lane, a part for each observation port that is connected
    :param action_space: of one lane
    """

    observation_space: spaces.Dict
    action_space: spaces.Space


class GraphLanes(Lanes):
    """Lanes that all run through a graph together.

    A step is what happens between two actions. All lanes begin and end together, since they run
    through the same loops.

    :param loop: of the graph; used as it is, not copied
    :param n_lanes: number of lanes, B
    """

    def __init__(self, loop: Loop, n_lanes: int) -> None:
        self.loop = loop
        self.modules = unique_modules(loop)
        self.database = next((m for m in self.modules if isinstance(m, Database)), None)
        n_images = 1 if self.database is None else self.database.n_images
        super().__init__(n_lanes, n_images, self.database and self.database.fixed_scene_seed)
        (self.rl,) = filter(None, map(RLPorts.of, self.modules))
        self._actions = batch_space(action_space(self.rl), n_lanes)
        #: who says what class it is: the last module with a guess and the truth
        self.answering = next(
            (m for m in reversed(self.modules) if {"plabel", "label"} <= m.ports.keys()), None
        )
        self._program: Generator[tuple[Module, Any]] | None = None
        self._asked: Any = None  # what the RL module showed with its request
        self._warned = False

    def reset(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64] | None = None
    ) -> Observation:
        """Begin the next episode, of all lanes."""
        if len(lanes) != self.n_lanes:
            raise ValueError(f"got a reset of {len(lanes)} of {self.n_lanes} lanes; wanted all")
        number = int(self.episodes[0]) + 1
        if index is None and self.database is not None and self.database.order == "stored":
            index = (number * self.n_lanes + lanes) % self.n_images
        stream = self.begin(lanes, index)
        for port in self.rl.observations:
            port.value = None  # what was seen in the episode before
        self.loop.begin(Episode(self.n_lanes, number, self.index.copy(), stream))
        self._program = self.loop.steps()
        if self._advance():
            raise GraphError(
                f"the loop ended before module {self.rl.module.name} had asked for an action: it "
                "must raise RLInput when it is run"
            )
        return self.observation()

    def step(self, actions: Any) -> Step:
        """Carry out one action of every lane."""
        if self._program is None:
            raise ValueError("got a step after the end of an episode; wanted a reset first")
        action = self._action(actions)
        self.rl.reward.value = None
        self.rl.action.set(action)
        ended = self._advance()
        if ended:
            self._program = None
            self.loop.end()
        everywhere = np.full(self.n_lanes, ended)
        return Step(self.observation(), self._reward(), everywhere)

    def _action(self, actions: Any) -> Any:
        """Return actions as a value of their port: a library gives arrays, it may want tensors.

        :raises ValueError: for actions outside the action space, before anything has changed
        """
        array, space = as_array(actions), self._actions
        whole = (
            array.dtype.kind == "f" and (array == np.round(array)).all()
        )  # for bits, as SB3 does
        if np.can_cast(array.dtype, space.dtype, "same_kind") or whole:
            array = array.astype(space.dtype)
        if array.shape != space.shape:
            raise ValueError(f"got actions of shape {array.shape}; wanted {space.shape}")
        if not space.contains(array):
            raise ValueError(f"got actions {array.tolist()!r:.200}; wanted some in {space}")
        tensors = issubclass(self.rl.action.type.kind, th.Tensor)
        return th.as_tensor(array) if tensors else array

    def _advance(self) -> bool:
        """Run up to the next request of an action; return whether the loop has ended."""
        try:
            request = next(self._program, None)
        except BaseException:  # an interruption, too: the episode cannot go on
            self._program = None
            raise
        if request is not None:
            _, self._asked = request
        return request is None

    def observation(self) -> Observation:
        """Return what the agent sees now, (B, ...) each."""
        ports = self.rl.observations
        running = self._program is not None
        if running and self._asked is not None and len(ports) == 1:
            return {ports[0].name: _to_numpy(self._asked)}
        return {port.name: self._read(port) for port in ports}

    def _read(self, port: Port) -> NDArray:
        if port.value is not None:
            return _to_numpy(port.value)
        nothing = (
            f"module {self.rl.module.name}: nothing was sent to port {port.name} before the agent"
        )
        if port.type.shape is None or None in port.type.shape:
            raise GraphError(f"{nothing} acts: run what is connected to it earlier in the Loop")
        if not self._warned:
            warnings.warn(f"{nothing} acts, which sees zeros there", stacklevel=2)
            self._warned = True
        return np.zeros((self.n_lanes, *port.type.shape), np.float32)

    def _reward(self) -> NDArray[np.float32]:
        value = self.rl.reward.value
        if value is None:
            return np.zeros(self.n_lanes, np.float32)
        reward = np.asarray(_to_numpy(value), np.float32)
        if reward.size != self.n_lanes:
            raise GraphError(
                f"module {self.rl.module.name}: port {self.rl.reward.name} received an array of "
                f"shape {reward.shape}; wanted one number for each of {self.n_lanes} lanes"
            )
        return reward.reshape(self.n_lanes)

    def infos(self) -> dict[str, NDArray]:
        """Return the images of all lanes and, where a module answers, labels and predictions."""
        infos = {"index": self.index.copy()}
        if self.answering is not None and self.answering["plabel"] is not None:
            infos["label"] = self.answering["label"]
            infos["prediction"] = self.answering["plabel"]
        return infos

    def summary(self, lanes: NDArray[np.int64]) -> dict[str, list]:
        """Return whether the answers were right, where a module answers."""
        infos = self.infos()
        if "label" not in infos:
            return {}
        return {"is_success": (infos["label"] == infos["prediction"])[lanes].tolist()}


def unique_modules(loop: Loop) -> list[Module]:
    """Return the modules of a loop, in the order in which they run last."""
    modules: dict[int, Module] = {}
    for visit in loop.visits():
        modules.pop(id(visit.module), None)
        modules[id(visit.module)] = visit.module
    return list(modules.values())


def copy_of(loop: Loop) -> Loop:
    """Return a loop with states of its own; networks, and what trains them, are shared."""
    memo: dict[int, Any] = {}
    copied = copy.deepcopy(loop, memo)
    parts = dict.fromkeys(part for module in unique_modules(loop) for part in module.parts())
    # edges by themselves: copying along them would go as deep as the graph is long
    for part in (*parts, *loop.loops()):
        for port in part._ports.values():
            memo[id(port)].targets = [memo[id(target)] for target in port.targets]
            memo[id(port)].sources = [memo[id(source)] for source in port.sources]
    return copied


def spaces_of(loop: Loop) -> GraphSpaces:
    """Run an episode of one lane, and return the spaces of what was seen.

    :param loop: a copy, whose classifiers do not learn
    :raises GraphError: for what fails meanwhile, with the module's name
    """
    lanes = GraphLanes(loop, 1)
    lanes.seed_all(0)
    space = action_space(lanes.rl)
    trial = batch_space(space, 1)
    trial.seed(0)
    try:
        parts = lanes.reset(lanes.lanes)
        ended = False
        while not ended:
            step = lanes.step(trial.sample())
            ended = step.ended[0]
    except GraphError:
        raise
    except Exception as error:
        where = "; ".join(getattr(error, "__notes__", []))
        raise GraphError(f"a trial run failed {where}: {type(error).__name__}: {error}") from error
    return GraphSpaces(
        ObservationSpace(
            {
                port.name: _lane_space(lanes.rl, port, parts[port.name])
                for port in lanes.rl.observations
            }
        ),
        space,
    )


def _lane_space(rl: RLPorts, port: Port, value: NDArray) -> spaces.Space:
    if port.type.space is not None:
        return port.type.space
    module = rl.module if isinstance(rl.module, RLModule) else RLModule()
    return module.lane_space(port.name, value)


def _to_numpy(value: Any) -> NDArray:
    """Return a copy, of numbers with a point as float32: a face may write into it."""
    if isinstance(value, th.Tensor):
        value = value.detach().cpu().numpy()
    value = np.array(value)
    return value.astype(np.float32, copy=False) if value.dtype.kind == "f" else value
