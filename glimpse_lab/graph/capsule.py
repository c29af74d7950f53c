"""A capsule around a classifier: collects what it sees, and fits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.core import Sequences
from glimpse_lab.graph.capsule_training import CapsuleTraining
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.models import GlimpseModel, ModelModule, check_network_settings
from glimpse_lab.graph.module import Episode, Module, PointerModule
from glimpse_lab.graph.recipe import capsule_settings
from policies.classifier.trainer import Fit

if TYPE_CHECKING:
    from glimpse_lab.graph.graph import Graph


class BatchCapsule(PointerModule):
    """Stores every input and label of a classifier, and fits it when there are enough.

    All its ports are those of the classifier; in a Loop it stands in its place. It fits between two
    episodes, when at least ``threshold`` of them are new.

    :param classifier: a ``Classifier``, or any module that points to a ``ModelModule`` and has a
        port ``label``
    :param threshold: episodes
    :param settings: of the training, as :class:`~policies.CoTraining` takes them: ``pretraining``,
        ``epochs``, ``random_share``, ``learning_rate``, ... Those of the registered pipeline's
        recipe otherwise, without its pretraining
    :ivar learning: whether it collects and fits; not in environments that are made for evaluation
    :ivar newest: the episode that was collected last
    """

    def __init__(self, classifier: Module, threshold: int = 512, **settings: Any) -> None:
        self.pointed = classifier
        parts = classifier.parts() if isinstance(classifier, Module) else ()
        self.model = next((m for m in parts if isinstance(m, ModelModule)), None)
        if self.model is None or "label" not in classifier.ports:
            raise GraphError(
                f"got BatchCapsule({type(classifier).__name__}); wanted a Classifier: something to "
                "fit, with a port label"
            )
        if not isinstance(self.model, GlimpseModel):
            check_network_settings(settings)
            settings = {"learning_rate": self.model.learning_rate} | settings
        self.training = CapsuleTraining(threshold, capsule_settings() | settings)
        if not isinstance(self.model, GlimpseModel):  # which is made for a graph
            self.training.bind(self.model, None, 0)
        self.learning = True
        self.newest: Sequences | None = None
        self._seen: list[tuple[NDArray, NDArray[np.float32]]] = []

    def run(self) -> None:
        """Run the classifier, and note what it saw."""
        self.pointed.run()
        seen = self["input"]
        gaze = self["gaze"] if "gaze" in self.ports else np.zeros((len(seen), 3), np.float32)
        self._seen.append((seen, gaze))

    def begin(self, episode: Episode) -> None:
        """Forget the episode before; one that did not run to its end trains nothing."""
        super().begin(episode)
        self._seen = []

    def end(self) -> None:
        """Store the episode; fit if there are enough."""
        super().end()
        if self["label"] is None:
            raise GraphError(f"module {self.name}: no labels were sent to {self.port('label')}")
        n_outputs, largest = self.model.belief().shape[1], self["label"].max()
        if largest >= n_outputs:
            raise GraphError(
                f"module {self.model.name}: got a network with {n_outputs} outputs and an image of "
                f"class {largest}; wanted one output for each class, counted from 0"
            )
        inputs, gazes = zip(*self._seen, strict=True)
        n, length = len(inputs[0]), len(inputs)
        self.newest = Sequences(
            np.stack(inputs, axis=1),
            np.stack(gazes, axis=1),
            np.full(n, length, np.int64),
            self["label"],
        )
        if self.learning:
            self.training.add(self.newest)

    @property
    def fits(self) -> list[Fit]:
        """What the updates of the last fit saw."""
        return self.training.fits

    def bind(self, graph: Graph) -> None:
        """Get ready for a graph: the classifier makes its network, which is then fitted."""
        super().bind(graph)
        config = graph.glimpse_config(self) if isinstance(self.model, GlimpseModel) else None
        self.training.bind(self.model, config, graph.seed_of(self))

    def prepare(
        self, n_episodes: float, validation: Callable[[int], Sequences] | None = None
    ) -> None:
        """Pretrain, and plan the training beside an agent's.

        :param n_episodes: that are to come
        :param validation: from a number of episodes to what the agent sees of validation images, on
            which the belief is calibrated; None for what is seen along the scripted gaze
        """
        self.training.prepare(n_episodes, validation)
