"""Modules: the nodes of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.components import nearest
from glimpse_envs.core import Sequences
from glimpse_lab.graph.errors import UnknownPortError
from glimpse_lab.graph.ports import Declared, Port
from glimpse_lab.graph.types import is_declaration

if TYPE_CHECKING:
    from glimpse_lab.graph.graph import Graph


@dataclass(frozen=True)
class Episode:
    """One pass through a graph, in all lanes.

    :param n: number of lanes, B
    :param number: of the episode, from 0
    :param index: images to show, int64 (B,); None for those in turn
    :param stream: randomness of what is shown in each lane, uint64 (B,); None for none
    """

    n: int
    number: int = 0
    index: NDArray[np.int64] | None = None
    stream: NDArray[np.uint64] | None = None


class RLInput(Exception):  # the report's name; it is a request, not an error
    """Raised in ``run``: asks the agent for an action.

    The graph goes on with ``run_after`` once it has one.

    :param observation: what the agent is to see; None for the module's observation ports
    """

    def __init__(self, observation: Any = None) -> None:
        super().__init__("an action is wanted: run the Loop by Graph(loop).run(n)")
        self.observation = observation


class Module:
    """A node of a graph: reads ports, computes, and fills ports.

    Ports are declared in the body of the class (``a = Input(float)``, ``b = Output(float)``), or in
    ``__init__`` by ``self["*a"] = float``. ``module["a"]`` is a port's value, and
    ``module["a"] = 5.0`` sets it; ``module.a`` is the port itself, to be connected:
    ``module.a >> other.b``.

    Bracket keys, as in the report: ``"*a"`` defines a port by its type; ``":a"`` changes the type
    and converts the value (``module["a"] = int`` does, too); ``">a"`` is the port, to be connected:
    ``module[">a"]([other[">b"]])``.

    Whole lanes flow through the ports: the first axis of arrays is the lane's.

    :ivar name: in messages and pictures; set it where a graph has several of a class
    :ivar episode: the present one, None before any
    :ivar last: whether this is the module's last run of the episode
    """

    name: str
    episode: Episode | None
    last: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the ports here, so that an ``__init__`` of one's own has nothing to call."""
        module = super().__new__(cls)
        module.name, module.episode, module.last = cls.__name__, None, False
        module._ports = {}
        for base in reversed(cls.__mro__):
            for name, declared in vars(base).items():
                if isinstance(declared, Declared):
                    module._ports[name] = declared.make(module)
        return module

    def run(self) -> None:
        """Compute: read ports, and fill ports."""

    def run_after(self) -> None:
        """Compute what follows ``run``; in an RL module the action is there now."""

    def begin(self, episode: Episode) -> None:
        """Forget the episode before."""
        self.episode = episode

    def end(self) -> None:
        """Conclude an episode that has run to its end."""

    def bind(self, graph: Graph) -> None:
        """Get ready for a graph, once, when it is made."""

    def reads(self, output: str) -> Iterable[str]:
        """Return the ports that an output is computed from; all others, unless a module knows."""
        return [name for name in self._ports if name != output]

    def parts(self) -> Iterator[Module]:
        """Iterate over this module and those it points to."""
        yield self

    @property
    def ports(self) -> dict[str, Port]:
        """The ports by name."""
        return dict(self._ports)

    def port(self, name: str) -> Port:
        """Return a port.

        :raises UnknownPortError: if there is none of this name
        """
        if name not in self._ports:
            raise UnknownPortError(
                f"module {self.name} has no port {name!r}; {nearest(name, self._ports)}"
            )
        return self._ports[name]

    def send(self) -> None:
        """Send the values of all ports along their edges."""
        for port in self._ports.values():
            if port.targets:
                port.send()

    def __getattr__(self, name: str) -> Port:
        if name.startswith("_") or "_ports" not in self.__dict__:  # as copying and pickling ask
            raise AttributeError(name)
        return self.port(name)

    def __getitem__(self, key: str) -> Any:
        if key.startswith(">"):
            return self.port(key[1:])
        return self.port(key).value

    def __setitem__(self, key: str, value: Any) -> None:
        if key.startswith("*"):
            self._ports[key[1:]] = Port(self, key[1:], value)
        elif key.startswith(":"):
            self.port(key[1:]).retype(value)
        elif is_declaration(value) and self.port(key).type.kind is not type:
            self.port(key).retype(value)
        else:
            self.port(key).set(value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._ports)})"


class PointerModule(Module):
    """A module in front of another: its ports are its own and those of the other.

    :ivar pointed: the other; None for none
    """

    pointed: Module | None = None

    def run(self) -> None:
        """Run the other module."""
        if self.pointed is not None:
            self.pointed.run()

    def parts(self) -> Iterator[Module]:
        """Iterate over this module and those it points to."""
        yield self
        if self.pointed is not None:
            yield from self.pointed.parts()

    @property
    def ports(self) -> dict[str, Port]:
        """The ports by name; its own hide those of the other."""
        return ({} if self.pointed is None else self.pointed.ports) | self._ports

    def port(self, name: str) -> Port:
        """Return a port, its own or the other's.

        :raises UnknownPortError: if there is none of this name
        """
        if name in self._ports or self.pointed is None:
            return super().port(name)
        return self.pointed.port(name)

    def reads(self, output: str) -> Iterable[str]:
        """Return the ports that an output is computed from."""
        return [name for name in self.ports if name != output]

    def begin(self, episode: Episode) -> None:
        """Forget the episode before."""
        super().begin(episode)
        if self.pointed is not None:
            self.pointed.begin(episode)

    def end(self) -> None:
        """Conclude an episode that has run to its end."""
        if self.pointed is not None:
            self.pointed.end()

    def bind(self, graph: Graph) -> None:
        """Get ready for a graph."""
        if self.pointed is not None:
            self.pointed.bind(graph)

    def send(self) -> None:
        """Send the values of all ports along their edges, the other's too."""
        super().send()
        if self.pointed is not None:
            self.pointed.send()


class FitableModule(Module):
    """A module with something that learns from labels."""

    def fit(self, batch: Sequences, scale: float = 1.0) -> Any:
        """Learn from some episodes.

        :param batch: inputs, where they were taken, how many, and labels
        :param scale: of the learning rate
        """
        raise NotImplementedError(f"{type(self).__name__} does not define fit")
