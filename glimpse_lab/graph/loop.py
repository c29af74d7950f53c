"""Loops: modules in an order, some times over."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.module import Episode, Module, RLInput
from glimpse_lab.graph.ports import Output


class Visit(NamedTuple):
    """A place in the order of a loop.

    :ivar module: that runs there
    :ivar loops: around it, the outermost first
    """

    module: Module
    loops: tuple[Loop, ...]

    @property
    def runs(self) -> int:
        """How often the module runs there in an episode."""
        return int(np.prod([loop.nb for loop in self.loops]))


class Loop(Module):
    """Modules that run one after the other, ``nb`` times; loops can lie in loops.

    When a module has run, the values of its ports are sent along their edges. The loop's own port
    ``remaining`` is the share of its iterations that are left.

    :param modules: in their order; a module may come several times
    :param nb: number of iterations
    """

    remaining = Output((np.ndarray, (1,), np.float32))

    def __init__(self, modules: Iterable[Module], nb: int = 1) -> None:
        if isinstance(modules, Module):
            raise GraphError(f"got Loop({modules.name}); wanted a list of modules: [...]")
        self.modules = list(modules)
        if not self.modules or not all(isinstance(module, Module) for module in self.modules):
            raise GraphError(f"got Loop({self.modules!r}); wanted a list of modules")
        if not isinstance(nb, int) or nb < 1:
            raise GraphError(f"got Loop(nb={nb!r}); wanted an integer of at least 1")
        self.nb = nb
        self._left: dict[int, int] = {}

    def visits(self, around: tuple[Loop, ...] = ()) -> Iterator[Visit]:
        """Iterate over the modules in their order, without loops themselves."""
        for module in self.modules:
            if isinstance(module, Loop):
                yield from module.visits((*around, self))
            else:
                yield Visit(module, (*around, self))

    def loops(self) -> Iterator[Loop]:
        """Iterate over this loop and those in it."""
        yield self
        for module in self.modules:
            if isinstance(module, Loop):
                yield from module.loops()

    def begin(self, episode: Episode) -> None:
        """Let all modules forget the episode before."""
        self._left = {}
        for visit in self.visits():
            key = id(visit.module)
            if key not in self._left:
                self._left[key] = 0
                visit.module.begin(episode)
            self._left[key] += visit.runs
        for loop in self.loops():
            loop.episode, loop._left = episode, self._left

    def end(self) -> None:
        """Let all modules conclude the episode."""
        for module in {id(visit.module): visit.module for visit in self.visits()}.values():
            module.end()

    def run(self) -> None:
        """Run all modules, as one episode of a single lane.

        :raises GraphError: where a module wants an action, for which there is no agent
        """
        number = 0 if self.episode is None else self.episode.number + 1
        self.begin(Episode(1, number))
        for module, _ in self.steps():
            raise GraphError(
                f"module {module.name} wants an action, and a Loop alone has no agent: "
                "Graph(loop).run(n) has"
            )
        self.end()

    def steps(self) -> Generator[tuple[Module, Any]]:
        """Run all modules; stop wherever one wants an action, which is then set by the caller.

        :return: iterator over these modules, with what their ``RLInput`` carried
        """
        n = self.episode.n
        for iteration in range(self.nb):
            self._tell_remaining(n, self.nb - iteration)
            for module in self.modules:
                if isinstance(module, Loop):
                    yield from module.steps()
                    continue
                self._left[id(module)] -= 1
                module.last = not self._left[id(module)]
                try:
                    try:
                        module.run()
                    except RLInput as request:
                        yield module, request.observation
                    module.run_after()
                    module.send()
                except Exception as error:
                    error.add_note(f"in module {module.name}")
                    raise
        self._tell_remaining(n, 0)

    def _tell_remaining(self, n: int, iterations: int) -> None:
        self["remaining"] = np.full((n, 1), iterations / self.nb, np.float32)
        self.send()
