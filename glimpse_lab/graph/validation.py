"""What is checked when a graph is made, so that a mistake is told by its module's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TypeVar

from glimpse_lab.graph.errors import GraphError, PortTypeError
from glimpse_lab.graph.loop import Loop, Visit
from glimpse_lab.graph.module import Module
from glimpse_lab.graph.ports import Port
from glimpse_lab.graph.rl import RLPorts


def find_rl(loop: Loop) -> RLPorts:
    """Return where the agent acts.

    :raises GraphError: unless there is just one RL module, and its observation is connected
    """
    modules = {id(visit.module): visit.module for visit in loop.visits()}.values()
    found = list(filter(None, map(RLPorts.of, modules)))
    if len(found) != 1:
        names = ", ".join(rl.module.name for rl in found) or "none"
        raise GraphError(
            f"got a Loop with RL modules: {names}; wanted just one, such as PPOSaccader(); a Loop "
            "without one runs by loop.run()"
        )
    (rl,) = found
    if not rl.observations:
        raise GraphError(
            f"module {rl.module.name}: nothing is connected to its observation, so that the agent "
            "would see nothing; connect one, such as classifier.hidden >> saccader.observation"
        )
    return rl


def check_parts(modules: Iterable[Module], rl: RLPorts) -> None:
    """Check that what a module points to runs through that module alone.

    :param modules: of a loop, each once
    :raises GraphError: for what stands in the loop by itself, too
    """
    owners: dict[Module, Module] = {}
    for module in modules:
        if module is rl.module:
            continue  # its network runs in the agent
        for part in module.parts():
            other = owners.setdefault(part, module)
            if other is not module:
                pointer = module if part is other else other
                raise GraphError(
                    f"module {part.name} runs by itself and as a part of {pointer.name}; wanted "
                    f"{pointer.name} in all its places in the Loop"
                )


class Structure:
    """Edges and order of a graph, to tell whether they were changed after it was made.

    :param loop: of the graph
    """

    def __init__(self, loop: Loop) -> None:
        visits = list(loop.visits())
        parts = dict.fromkeys(part for visit in visits for part in visit.module.parts())
        self.edges = {
            (port, target): f"{port} >> {target}"
            for part in (*parts, *loop.loops())
            for port in part._ports.values()
            for target in port.targets
        }
        self.order = [(v.module, *((inner, inner.nb) for inner in v.loops)) for v in visits]

    def check_same(self, now: Structure) -> None:
        """Raise a GraphError where the graph is another one now."""
        changes = [f"{self.edges[edge]} was taken away" for edge in self.edges.keys() - now.edges]
        changes += [f"{now.edges[edge]} is new" for edge in now.edges.keys() - self.edges]
        if self.order != now.order:
            changes.append("the Loop has another order or nb")
        if changes:
            raise GraphError(
                f"the graph was changed after it was made ({', '.join(sorted(changes))}); make it "
                "anew: Graph(loop)"
            )


def check(loop: Loop, rl: RLPorts) -> None:
    """Check the edges of a graph.

    :raises GraphError: for the first mistake
    """
    visits = list(loop.visits())
    order = _Order(loop, visits)
    ports = [port for part in order.parts for port in part._ports.values()]
    _check_secrets([port for port in ports if port.secret], rl)
    for port in ports:
        for target in port.targets:
            if not order.knows(target.owner):
                raise GraphError(
                    f"module {target.owner.name} is connected ({port} >> {target}) and lies in no "
                    "Loop of the graph; put it into one, or drop the edge"
                )
            if target.filled:
                raise GraphError(
                    f"module {target.owner.name}: {port} >> {target}: the module fills that port "
                    "itself; connect one that it reads"
                )
            mismatch = target.type.mismatch(port.type)
            if mismatch:
                raise PortTypeError(
                    f"module {target.owner.name}: {port} >> {target}: {mismatch}; connect another "
                    "port, or put a module between that converts"
                )
        for source in port.sources:
            if not order.knows(source.owner):
                raise GraphError(
                    f"module {source.owner.name} is connected ({source} >> {port}) and lies in no "
                    "Loop of the graph; put it into one"
                )
        inside_agent = port.owner is not rl.module and port.owner in set(rl.module.parts())
        if port.required and not port.sources and port.value is None and not inside_agent:
            raise GraphError(
                f"module {port.owner.name}: nothing is connected to its port {port.name} (type "
                f"{port.type}); connect one: other.port >> module.{port.name}"
            )
    for port in ports:
        for target in port.targets:
            if target is not rl.reward:  # the environment reads it when the next action is due
                _check_order(port, target, order)


T = TypeVar("T")


class _Order:
    """When modules run.

    :param loop: of the graph
    :param visits: of its modules
    """

    def __init__(self, loop: Loop, visits: list[Visit]) -> None:
        self.parts: dict[Module, None] = {}
        self._places: dict[Module, list[tuple[int, tuple[Loop, ...]]]] = {}
        for place, visit in enumerate(visits):
            for part in visit.module.parts():
                self.parts[part] = None
                self._places.setdefault(part, []).append((place, visit.loops))
        for inner in loop.loops():
            self.parts[inner] = None
            inside = [p for p, visit in enumerate(visits) if inner in visit.loops]
            self._places[inner] = [(min(inside), ())]

    def knows(self, module: Module) -> bool:
        return module in self._places

    def arrives(self, source: Module, target: Module) -> bool:
        """Return whether what a module sends is there at some run of another."""
        for place, loops in self._places[source]:
            for later, around in self._places[target]:
                if place < later or (isinstance(source, Loop) and place <= later):
                    return True
                if any(loop in around and loop.nb > 1 for loop in loops):
                    return True
        return False


def _check_order(port: Port, target: Port, order: _Order) -> None:
    source, reader = port.owner, target.owner
    if order.arrives(source, reader):
        return
    circle = _path(reader, source)
    if circle is not None:
        names = " >> ".join(module.name for module in (*circle, reader))
        raise GraphError(
            f"module {reader.name}: it is part of a cycle without a Loop ({names}); put these "
            "modules into a Loop with nb of at least 2, so that what comes back is read again"
        )
    raise GraphError(
        f"module {reader.name} runs before module {source.name}, whose value it wants ({port} >> "
        f"{target}); change their order in the Loop"
    )


def _path(start: Module, goal: Module) -> list[Module] | None:
    """Return the modules on edges from one to another; None if there are none."""

    def follow(module: Module) -> Iterator[Module]:
        return (target.owner for port in module._ports.values() for target in port.targets)

    return _search([start], follow, lambda module: module is goal)


def _search(starts: list[T], follow: Callable, found: Callable[[T], bool]) -> list[T] | None:
    paths, seen = [[start] for start in starts], list(starts)
    for path in paths:  # which grows meanwhile: breadth first
        if found(path[-1]):
            return path
        for following in follow(path[-1]):
            if following not in seen:
                seen.append(following)
                paths.append([*path, following])
    return None


def _check_secrets(secrets: list[Port], rl: RLPorts) -> None:
    """Raise a GraphError where an agent would observe what it must not know."""

    def follow(port: Port) -> Iterator[Port]:
        yield from port.targets
        owner = port.owner
        if owner is rl.module:
            return  # what the agent does, it does by what it observes
        yield from (
            other
            for name, other in owner._ports.items()
            if other is not port and not other.secret and port.name in owner.reads(name)
        )

    path = _search(secrets, follow, lambda port: port in rl.observations)
    if path is not None:
        steps = " >> ".join(map(str, path))
        raise GraphError(
            f"module {rl.module.name}: the agent would see the label ({steps}); it may only be "
            f"rewarded by it: drop the edge {' >> '.join(map(str, list(pairwise(path))[-1]))}"
        )
