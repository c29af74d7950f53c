"""Who says what class an image is of: a classifier, or several that vote."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from glimpse_envs.core import Sequences
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.models import GlimpseModel, ModelModule
from glimpse_lab.graph.module import Episode, FitableModule, Module, PointerModule
from glimpse_lab.graph.ports import Input, Output

_BELIEF = (np.ndarray, (None, None), np.float32)
_CLASSES = (np.ndarray, (), np.int64)


class Answering(Module):
    """A module that guesses the class: from a belief in ``output`` the ports that compare it."""

    label = Input(_CLASSES)
    output = Output(_BELIEF)
    plabel = Output(_CLASSES)
    issue = Output((np.ndarray, (), np.bool_))

    def begin(self, episode: Episode) -> None:
        """Forget the answer of the episode before."""
        super().begin(episode)
        self["output"] = self["plabel"] = self["issue"] = None

    def answer(self) -> None:
        """Fill ``plabel``, the likeliest class, and ``issue``, whether it is the right one."""
        belief = self["output"]
        self["plabel"] = belief.reshape(len(belief), -1).argmax(axis=1)
        if self["label"] is not None:
            self["issue"] = self["plabel"] == self["label"]

    def seen(self) -> Iterable[str]:
        """Return the ports that the belief is made of."""
        raise NotImplementedError(f"{type(self).__name__} does not define seen")

    def reads(self, output: str) -> Iterable[str]:
        """Return the ports that an output is computed from: only ``issue`` reads the label."""
        return [*self.seen(), *(["label"] if output == "issue" else [])]


class Classifier(Answering, PointerModule, FitableModule):
    """A network that says what class an image is of.

    Ports of its own are ``output`` (class probabilities), ``label``, ``plabel`` (the predicted one)
    and ``issue`` (whether they agree); all others, ``input`` and the layers' among them, are those
    of the network's module.

    :param model: a kind of :mod:`policies.classifier`, such as "canvas", or a ``ModelModule``
    :param shape: of the output in each lane; None for one probability for each class
    :param settings: of a classifier by kind, such as ``width``
    """

    pointed: ModelModule

    def __init__(
        self, model: str | ModelModule, *, shape: tuple[int, ...] | None = None, **settings: Any
    ) -> None:
        if isinstance(model, str):
            model = GlimpseModel(model, **settings)
        elif not isinstance(model, ModelModule) or settings:
            raise GraphError(
                f"got Classifier({type(model).__name__}, {settings}); wanted the name of a kind "
                "with its settings, or ModelModule(network) without"
            )
        self.pointed, self.shape = model, shape
        if shape is not None:
            self[":output"] = np.ndarray, shape, np.float32

    def run(self) -> None:
        """Run the network, and compare its answer with the label."""
        self.pointed.run()
        belief = self.pointed.belief()
        if self.shape is not None:
            if math.prod(self.shape) != belief[0].size:
                raise GraphError(
                    f"module {self.name}: got shape={self.shape} for {belief[0].size} classes"
                )
            belief = belief.reshape(len(belief), *self.shape)
        self["output"] = belief
        self.answer()

    def fit(self, batch: Sequences, scale: float = 1.0) -> Any:
        """Let the network learn from some episodes."""
        return self.pointed.fit(batch, scale)

    def seen(self) -> Iterable[str]:
        """Return the ports that the belief is made of."""
        return self.pointed.reads("output")

    def bind(self, graph: Any) -> None:
        """Get ready for a graph."""
        self.pointed.name = self.name
        super().bind(graph)


class Vote(Answering):
    """The mean of several beliefs: ``belief1``, ``belief2``, ...

    :param n: how many
    """

    def __init__(self, n: int = 2) -> None:
        if not isinstance(n, int) or n < 2:
            raise GraphError(f"got Vote({n!r}); wanted a number of beliefs, at least 2")
        self.names = [f"belief{i + 1}" for i in range(n)]
        for name in self.names:
            self[f"*{name}"] = _BELIEF
            self.port(name).required = True

    def run(self) -> None:
        """Average the beliefs, and compare the answer with the label."""
        beliefs = [self[name] for name in self.names]
        self["output"] = np.mean(beliefs, axis=0, dtype=np.float32)
        self.answer()

    def seen(self) -> Iterable[str]:
        """Return the ports that the belief is made of."""
        return self.names
