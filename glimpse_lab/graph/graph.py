"""A graph of modules, compiled into an environment and an agent."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.actions import Saccade
from glimpse_envs.arrays import as_seed
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import Sequences
from glimpse_envs.faces import LaneEnv, LaneVectorEnv
from glimpse_envs.lanes import Observation
from glimpse_envs.strategies import Blind
from glimpse_lab.graph.capsule import BatchCapsule
from glimpse_lab.graph.data import Cropper, Database
from glimpse_lab.graph.errors import GraphError, check_count
from glimpse_lab.graph.frameworks import find_framework, gymnasium_environment
from glimpse_lab.graph.lanes import GraphLanes, GraphSpaces, copy_of, spaces_of, unique_modules
from glimpse_lab.graph.loop import Loop
from glimpse_lab.graph.module import Module
from glimpse_lab.graph.picture import mermaid
from glimpse_lab.graph.recipe import saccade_recipe
from glimpse_lab.graph.saccader import PPOSaccader
from glimpse_lab.graph.validation import Structure, check, check_parts, find_rl
from policies.classifier.replay import join

#: episodes that are played together where nothing is learnt
_PLAYED = 500


class Graph:
    """A system of modules as an environment and an agent.

    Making it checks it: edges, types, order, and that no label reaches the agent; then one episode
    runs. A message tells the module.

    :param loop: with one RL module in it, such as a ``PPOSaccader``; one run of it is an episode
    :param lanes: episodes that run side by side; None for the recipe's with a ``PPOSaccader``, else
        8
    :param seed: of everything that is drawn; None for one from the system's entropy, which is then
        in ``seed``
    :param framework: a library by name, see :func:`~glimpse_lab.graph.register_framework`
    :param device: of the agent's network
    :raises GraphError: for a mistake in the graph
    """

    def __init__(
        self,
        loop: Loop,
        *,
        lanes: int | None = None,
        seed: int | None = None,
        framework: str = "sb3",
        device: str = "cpu",
    ) -> None:
        if not isinstance(loop, Loop):
            raise GraphError(f"got Graph({loop!r}); wanted a Loop of modules: Graph(Loop([...]))")
        seed = as_seed(seed)
        #: of everything that is drawn; where none was given, one from the system's entropy
        self.seed: int = secrets.randbelow(2**31) if seed is None else seed
        self.loop, self.device = loop, device
        self._agent: Any = None
        self.framework_name, self.framework = framework, find_framework(framework)
        self.modules = unique_modules(loop)
        _name_apart(loop)
        self.rl = find_rl(loop)
        check_parts(self.modules, self.rl)
        for module in self.modules:
            module.bind(self)
        check(loop, self.rl)
        self._made_of = Structure(loop)
        #: spaces of one lane
        self.spaces: GraphSpaces = spaces_of(self._copy(learning=False))
        if lanes is None:
            lanes = saccade_recipe()["n_envs"] if isinstance(self.rl.module, PPOSaccader) else 8
        #: the simulation that the agent is trained in, of the graph's own modules
        self.lanes = GraphLanes(loop, lanes)

    @cached_property
    def environment(self) -> LaneEnv:
        """One lane as an environment of Gymnasium, in which classifiers learn, too.

        It has ports of its own; networks, and what trains them, are those of the graph.
        """
        return LaneEnv(self.spaces, GraphLanes(self._copy(learning=True), 1), None)

    def vector_environment(self, num_envs: int, *, learning: bool = True) -> LaneVectorEnv:
        """Return lanes as a vector environment of Gymnasium.

        :param num_envs: number of lanes
        :param learning: whether classifiers learn from what they see there
        """
        return LaneVectorEnv(self.spaces, GraphLanes(self._copy(learning=learning), num_envs), None)

    @cached_property
    def training_environment(self) -> Any:
        """The graph's own lanes, in the form that the framework steps."""
        return self.framework.make_env(self)

    @property
    def agent(self) -> Any:
        """The agent, of Stable-Baselines3 unless another framework was named."""
        if self._agent is None:
            self._agent = self.framework.make_agent(self, self.training_environment)
        return self._agent

    def run(self, n: int, **arguments: Any) -> Any:
        """Train agent and classifiers. Run again, both go on.

        Learning rates fall to 0 over ``n``; in a further run they begin where they would be if all
        timesteps so far had been of one training with it, as in Stable-Baselines3.

        :param n: timesteps, as libraries count them: how often the RL module runs, over all lanes
        :param arguments: of the framework's training, such as ``callback``
        :return: the agent
        """
        check_count(f"run({n!r})", n, "timesteps")
        self._check_unchanged()
        capsules = _capsules(self.modules)
        n_episodes = n / self.actions_per_episode
        for capsule in capsules:
            capsule.prepare(n_episodes, self._validation_of(capsule))
        try:
            learn_fn = self._own_learn_fn()
            if learn_fn is None:
                self.framework.learn(self.agent, n, **arguments)
            else:
                env = gymnasium_environment(self)
                self._agent = learn_fn(env, n, **arguments)
        finally:
            for capsule in capsules:
                capsule.training.finish()
        return self._agent

    def _own_learn_fn(self) -> Callable[..., Any] | None:
        """Return what the RL module brings for training; None for what the framework has."""
        given = getattr(self.rl.module, "learn_fn", None)
        return given.get(self.framework_name) if isinstance(given, dict) else given

    @property
    def actions_per_episode(self) -> int:
        """How often the RL module runs in an episode."""
        return sum(v.runs for v in self.loop.visits() if v.module is self.rl.module)

    def draw(self) -> str:
        """Return a flow chart in the language of Mermaid, which GitHub draws."""
        self._check_unchanged()
        return mermaid(self.loop, self.rl)

    def evaluate(
        self,
        split: str = "test",
        *,
        n: int | None = None,
        act: Callable[[Observation], Any] | None = None,
    ) -> float:
        """Return the accuracy on images of a split, each shown once; nothing is learnt.

        :param split: "test", "validation" or "train"
        :param n: how many images, the first ones; None for all
        :param act: from observations of all lanes to actions; None for the agent's likeliest
        """
        if n is not None:
            check_count(f"evaluate(n={n!r})", n, "images")
        right: list[NDArray[np.bool_]] = []
        act = act or self._act()
        if act is None:
            raise GraphError(
                "evaluate() does not know how this agent acts; wanted act=, from observations of "
                "all lanes to actions"
            )
        for lanes in self._played(split, n, act):
            infos = lanes.infos()
            if "label" not in infos:
                raise GraphError(
                    "evaluate() wants a module with ports label and plabel, such as Classifier"
                )
            right.append(infos["label"] == infos["prediction"])
        return float(np.concatenate(right).mean())

    def seed_of(self, module: Module) -> int:
        """Return the seed of a module's weights and draws.

        It is the graph's for the first module of a kind, and another for each further one.

        :param module: of the graph
        """
        parts = [part for visited in self.modules for part in visited.parts()]
        place = [part for part in parts if type(part) is type(module)].index(module)
        if place == 0:
            return self.seed
        return int(np.random.SeedSequence([self.seed, place]).generate_state(1)[0] >> 1)

    def glimpse_config(self, asking: Module) -> GlimpseConfig:
        """Return the registered kind of environment that shows the same crops.

        Classifiers are made for it, and pretrained in it along scripted gazes.

        :param asking: module, whose number of runs is the budget
        :raises GraphError: without a database and croppers of one kind
        """
        databases = [module for module in self.modules if isinstance(module, Database)]
        croppers = [module for module in self.modules if isinstance(module, Cropper)]
        kinds = {(cropper.sensor, cropper.zoom) for cropper in croppers}
        if len(databases) != 1 or len(kinds) != 1:
            raise GraphError(
                f"module {asking.name} reads crops of a database's images; wanted one Database and "
                f"croppers of one size in the Loop, got {len(databases)} and {len(kinds)} sizes"
            )
        budget = sum(v.runs for v in self.loop.visits() if asking in v.module.parts())
        if budget < 2:
            raise GraphError(
                f"module {asking.name} runs {budget} time(s) in an episode; wanted at least 2, so "
                "that it reads what the agent looks at, too: put it into the inner Loop as well"
            )
        sensor, zoom = kinds.pop()
        shown = databases[0].config
        return GlimpseConfig(
            dataset=shown.dataset,
            scene=shown.scene,
            augment=shown.augment,
            split=shown.split,
            sensor=sensor,
            scheme=Saccade(zoom=zoom),
            start="centre",
            budget=budget,
            classifier=Blind(shown.dataset.n_classes),
        )

    def _check_unchanged(self) -> None:
        """Raise a GraphError where edges or loops were changed since the graph was made."""
        self._made_of.check_same(Structure(self.loop))

    def _copy(self, *, learning: bool) -> Loop:
        self._check_unchanged()
        loop = copy_of(self.loop)
        for capsule in _capsules(unique_modules(loop)):
            capsule.learning = learning
        return loop

    def _played(
        self, split: str, n: int | None, act: Callable[[Observation], Any]
    ) -> Iterator[GraphLanes]:
        """Iterate over lanes that have played an episode with some images of a split each."""
        loop = self._copy(learning=False)
        database = next((m for m in unique_modules(loop) if isinstance(m, Database)), None)
        if database is None:
            raise GraphError("evaluate() shows the images of a Database; wanted one in the Loop")
        database.show(replace(database.config, split=split))
        order = np.arange(min(n or database.n_images, database.n_images))
        for index in np.split(order, range(_PLAYED, len(order), _PLAYED)):
            lanes = GraphLanes(loop, len(index))
            lanes.seed_all(0)
            observation, ended = lanes.reset(lanes.lanes, index), False
            while not ended:
                step = lanes.step(act(observation))
                observation, ended = step.observation, step.ended[0]
            yield lanes

    def _act(self) -> Callable[[Observation], Any] | None:
        """Return what gives the agent's likeliest actions, if that is known."""
        act = self.framework.act
        if act is None or self._own_learn_fn() is not None:
            return None
        return lambda observation: act(self.agent, observation)

    def _validation_of(self, capsule: BatchCapsule) -> Callable[[int], Sequences] | None:
        """Return what plays so many episodes on validation images, as the capsule sees them."""
        place, act = _capsules(self.modules).index(capsule), self._act()
        if act is None or not any(isinstance(module, Database) for module in self.modules):
            return None
        return lambda n: join(
            [_capsules(lanes.modules)[place].newest for lanes in self._played("validation", n, act)]
        )


def _capsules(modules: list[Module]) -> list[BatchCapsule]:
    """Return the capsules among modules and what they point to."""
    parts = dict.fromkeys(part for module in modules for part in module.parts())
    return [part for part in parts if isinstance(part, BatchCapsule)]


def _name_apart(loop: Loop) -> None:
    """Number modules of the same name, those that others point to as well.

    A module and what it points to may share their name, as a classifier and its network do.
    """
    owners: dict[Module, Module] = {}
    for module in unique_modules(loop):
        for part in module.parts():
            owners.setdefault(part, module)
    groups: dict[tuple[Module, str], list[Module]] = {}
    for part, module in owners.items():
        groups.setdefault((module, part.name), []).append(part)
    counts = Counter(name for _, name in groups)
    numbers: Counter[str] = Counter()
    for (_, name), parts in groups.items():
        if counts[name] > 1:
            numbers[name] += 1
            for part in parts:
                part.name = f"{name} {numbers[name]}"
