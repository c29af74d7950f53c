"""What a step earns, as a module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glimpse_envs.components import resolve
from glimpse_envs.rewards import InformationGain, Outcome, Sum, UncertaintyReduction
from glimpse_envs.rewards import Reward as GlimpseReward
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.module import Episode, Module
from glimpse_lab.graph.ports import Input, Output

if TYPE_CHECKING:
    from glimpse_lab.graph.graph import Graph


class Reward(Module):
    """A reward of ``glimpse_envs`` on a belief and the true class.

    One that compares the belief with the one before wants to run after the first classification,
    too: put it before the inner Loop as well as into it.

    :param kind: a reward as an object, name or dict, such as "Terminal" (1 for the right class at
        the end), "PerStep", "NegativeCrossEntropy", "InverseCrossEntropy" (the report's four) or
        "UncertaintyReduction"
    """

    belief = Input((np.ndarray, (None, None), np.float32))
    label = Input((np.ndarray, (), np.int64))
    output = Output((np.ndarray, (), np.float32))

    def __init__(self, kind: Any = "Terminal") -> None:
        self.kind = resolve(kind, GlimpseReward)
        if self.kind.needs_newly_seen:
            raise GraphError(
                f"got Reward({kind!r}), which reads what was newly seen of the image, and a graph "
                "does not tell; wanted one that reads belief and label"
            )

    def bind(self, graph: Graph) -> None:
        """Check that a reward that compares beliefs runs before the first action, too."""
        for visit in graph.loop.visits():
            if visit.module is graph.rl.module and _compares(self.kind):
                raise GraphError(
                    f"module {self.name}: {type(self.kind).__name__} compares each belief with the "
                    f"one before; put it before module {visit.module.name} in the Loop, after the "
                    "first classification, as well as behind"
                )
            if visit.module is self:
                return

    def begin(self, episode: Episode) -> None:
        """Forget the episode before."""
        super().begin(episode)
        self._previous = self["belief"] = None

    def run(self) -> None:
        """Reward all lanes for the present belief."""
        belief, previous = self["belief"], self._previous
        self._previous = belief
        if previous is None:
            previous = belief
        if belief is None or self["label"] is None:
            raise GraphError(
                f"module {self.name} runs before belief and label were sent to it; put it behind "
                "the classifier in the Loop"
            )
        n = len(belief)
        self["output"] = self.kind(
            Outcome(
                labels=self["label"],
                predictions=belief.argmax(axis=1),
                ended=np.full(n, self.last),
                took_glimpse=np.ones(n, bool),
                belief=belief,
                previous_belief=previous,
            )
        )


def _compares(kind: GlimpseReward) -> bool:
    if isinstance(kind, Sum):
        return any(_compares(term) for term in kind.terms)
    return isinstance(kind, (UncertaintyReduction, InformationGain))
