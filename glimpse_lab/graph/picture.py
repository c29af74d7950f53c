"""A graph as Mermaid's text, which GitHub and the documentation draw."""

from __future__ import annotations

from collections import defaultdict

from glimpse_lab.graph.loop import Loop
from glimpse_lab.graph.module import Module
from glimpse_lab.graph.rl import RLPorts


def mermaid(loop: Loop, rl: RLPorts) -> str:
    """Return the flow chart of a graph.

    A module that runs in several loops is drawn in the innermost one; edges between the same two
    modules are one arrow.

    :param loop: of the graph
    :param rl: where the agent acts, drawn as a rounded box
    """
    places: dict[Module, Loop] = {}
    depths: dict[Module, int] = {}
    for visit in loop.visits():
        if len(visit.loops) > depths.get(visit.module, 0):
            places[visit.module], depths[visit.module] = visit.loops[-1], len(visit.loops)
    keys = {module: f"m{k}" for k, module in enumerate(places)}
    loops = {inner: f"loop{k}" for k, inner in enumerate(loop.loops())}
    # Mermaid draws no edge from a box to what lies in it: a loop's port is a node in the box
    clocks = {inner: f"{key}c" for inner, key in loops.items()}
    lines = ["flowchart LR", *_box(loop, loops, places, keys, rl)]
    shown = {part: keys[module] for module in places for part in module.parts()} | clocks
    labels: dict[tuple[str, str], list[str]] = defaultdict(list)
    for part, key in shown.items():
        for port in part._ports.values():
            for target in port.targets:
                same = port.name == target.name
                label = port.name if same else f"{port.name} → {target.name}"
                labels[key, shown[target.owner]].append(label)
    lines += [f'    {a} -->|"{"<br>".join(names)}"| {b}' for (a, b), names in labels.items()]
    return "\n".join(lines)


def _box(
    loop: Loop,
    loops: dict[Loop, str],
    places: dict[Module, Loop],
    keys: dict[Module, str],
    rl: RLPorts,
) -> list[str]:
    times = "once" if loop.nb == 1 else f"{loop.nb} times"
    lines = [f'    subgraph {loops[loop]}["{_escaped(loop.name)}, {times}"]']
    if loop.remaining.targets:
        lines.append(f'        {loops[loop]}c{{{{"{_escaped(loop.name)}"}}}}')
    for module in dict.fromkeys(loop.modules):
        if isinstance(module, Loop):
            lines += ["    " + line for line in _box(module, loops, places, keys, rl)]
        elif places[module] is loop:
            shape = '(["{}"])' if module is rl.module else '["{}"]'
            lines.append(f"        {keys[module]}{shape.format(_label(module))}")
    return [*lines, "    end"]


def _label(module: Module) -> str:
    """Return the names of a module and of what it points to, each once."""
    return "<br>".join(dict.fromkeys(_escaped(part.name) for part in module.parts()))


def _escaped(name: str) -> str:
    """Return a name as Mermaid writes it between quotes."""
    return name.replace('"', "#quot;")
