"""Networks as modules: any layer is a port of its name."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from glimpse_envs.components import nearest
from glimpse_envs.core import Sequences
from glimpse_lab.graph.errors import GraphError, UnknownPortError
from glimpse_lab.graph.module import Episode, FitableModule
from glimpse_lab.graph.ports import Declared, Input, Output, Port
from policies.classifier.model import TorchClassifier, View
from policies.classifier.prefixes import all_prefixes
from policies.classifier.trainer import Fit, Fitter

if TYPE_CHECKING:
    from glimpse_lab.graph.graph import Graph


class ModelModule(FitableModule):
    """A network of PyTorch: from ``input`` to ``output``, and any layer by its name.

    ``model.port("encoder.2")``, or ``model.conv1`` where the name is a plain word, is the port of a
    layer: what it gives for each lane. Bytes of pictures (B, H, W, C) reach the network as float32
    (B, C, H, W) in [0, 1].

    :param network: an ``nn.Module`` from one tensor to one of a logit for each class, without a
        memory
    :param learning_rate: of AdamW, by which ``fit`` trains it
    """

    input = Input(np.ndarray)
    output = Output((np.ndarray, (None, None), np.float32))

    def __init__(self, network: nn.Module | None, *, learning_rate: float = 1e-3) -> None:
        if network is not None and not isinstance(network, nn.Module):
            raise GraphError(
                f"got ModelModule({network!r:.60}); wanted a torch.nn.Module (kinds of classifiers "
                "are made by name: Classifier('gru'))"
            )
        self.network = network
        self.learning_rate = learning_rate
        self._fitter: Any = None

    def run(self) -> None:
        """Read the input of all lanes."""
        with self._listening(), th.inference_mode():
            self.network.eval()
            self["output"] = self.network(as_tensor(self["input"])).float().cpu().numpy()

    def belief(self) -> NDArray[np.float32]:
        """Return the class probabilities, float32 (B, K)."""
        return th.as_tensor(self["output"]).flatten(1).softmax(dim=1).numpy()

    def start_fitting(self, settings: dict[str, Any], seed: int) -> Any:
        """Return what trains the network, with ``update(batch, scale)``; the same one every time.

        :param settings: of the training, by name
        :param seed: of its draws
        """
        if self._fitter is None:
            self._fitter = NetworkFitter(
                self.network, **{"learning_rate": self.learning_rate} | settings
            )
        return self._fitter

    def fit(self, batch: Sequences, scale: float = 1.0) -> Fit:
        """Make one step by cross-entropy on every input of some episodes."""
        return self.start_fitting({}, 0).update(batch, scale)

    def reads(self, output: str) -> Iterable[str]:
        """Return the inputs, which all outputs are computed from."""
        return [name for name in ("input", "gaze") if name in self._ports]

    def port(self, name: str) -> Port:
        """Return a port; one of a layer is made when it is first asked for.

        :raises UnknownPortError: for a name that is no layer's, either
        """
        if name not in self._ports:
            if self.network is None:  # checked when it is made
                self._ports[name] = Port(self, name, np.ndarray)
            elif name in (layers := dict(self.network.named_modules())) and name:
                self._ports[name] = Port(self, name, np.ndarray)
            else:
                raise UnknownPortError(
                    f"module {self.name} has no port or layer {name!r}; "
                    f"{nearest(name, [*self._ports, *filter(None, layers)])}"
                )
        return self._ports[name]

    def bind(self, graph: Graph) -> None:
        """Check the layers that were asked for."""
        for name, port in list(self._ports.items()):
            if not self._declares(name):
                del self._ports[name]
                self.port(name)  # raises where there is no such layer
                self._ports[name] = port

    def _declares(self, name: str) -> bool:
        """Return whether a port is the module's own, even where a layer has the same name."""
        return isinstance(getattr(type(self), name, None), Declared)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Fill the ports of layers while the network reads."""
        layers = dict(self.network.named_modules())
        listened = [name for name in self._ports if name in layers and not self._declares(name)]
        heard: dict[str, NDArray] = {}

        def listen(name: str) -> Any:
            def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
                output = output[0] if isinstance(output, tuple) else output
                heard[name] = output.detach().float().cpu().numpy().copy()

            return layers[name].register_forward_hook(hook)

        handles = [listen(name) for name in listened]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        for name in listened:
            if name not in heard:
                raise GraphError(
                    f"module {self.name}: layer {name!r} does not run by itself when the network "
                    "reads, so that nothing can be heard of it; take a layer around or inside it"
                )
            self[name] = heard[name]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        module = memo[id(self)] = object.__new__(type(self))
        vars(module).update(vars(self))  # network and what trains it are shared
        module._ports = copy.deepcopy(self._ports, memo)
        return module


class GlimpseModel(ModelModule):
    """A classifier of :mod:`policies.classifier`, which remembers the glimpses of an episode.

    ``input`` is a crop and ``gaze`` where it was taken; ``output`` is the belief and ``hidden`` its
    hidden features.

    :param kind: "canvas", "rcn", "gru", "lstm" or "feedforward"
    :param seed: of the first weights; None for the graph's
    :param settings: of the memory, such as ``width``
    """

    gaze = Input((np.ndarray, (3,), np.float32))
    hidden = Output((np.ndarray, (None, None), np.float32))

    network: TorchClassifier | None

    def __init__(self, kind: str | None, *, seed: int | None = None, **settings: Any) -> None:
        super().__init__(None)
        self.kind, self.seed, self.settings = kind, seed, settings

    def bind(self, graph: Graph) -> None:
        """Make the network for the crops of a graph."""
        if self.network is None:
            config = graph.glimpse_config(self)
            seed = graph.seed_of(self) if self.seed is None else self.seed
            self.network = TorchClassifier(View.of(config), self.kind, seed=seed, **self.settings)
        super().bind(graph)
        trunk = [name for name in self._ports if name.startswith("memory.trunk.")]
        if trunk and hasattr(self.network.memory, "fold"):
            self.network.memory.fold = False

    def begin(self, episode: Episode) -> None:
        """Forget the glimpses of the episode before."""
        super().begin(episode)
        if self.network is None:
            raise GraphError(
                f"module {self.name}: the network of a kind such as {self.kind!r} is made for the "
                "crops of a graph, by Graph(loop); wanted that before its Loop runs"
            )
        self._state = self.network.start(episode.n)

    def run(self) -> None:
        """Read one more glimpse of all lanes."""
        with self._listening():
            reading = self.network.update(self._state, self["input"], self["gaze"])
        self._state, self["output"], self["hidden"] = reading

    def belief(self) -> NDArray[np.float32]:
        """Return the class probabilities, float32 (B, K)."""
        return self["output"]

    def start_fitting(self, settings: dict[str, Any], seed: int) -> Fitter:
        """Return what trains the network; the same one every time."""
        if self._fitter is None:
            self._fitter = Fitter(self.network, seed=seed, **settings)
        return self._fitter


class NetworkFitter:
    """Trains a network by cross-entropy at every input of an episode.

    :param network: from a tensor to logits
    :param learning_rate: of AdamW
    :param weight_decay: of AdamW
    :param label_smoothing: share of the target spread over all classes
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        label_smoothing: float = 0.0,
    ) -> None:
        self.network, self.label_smoothing = network, label_smoothing
        self.learning_rate = learning_rate
        self.optimizer = th.optim.AdamW(
            network.parameters(), learning_rate, weight_decay=weight_decay
        )

    def update(self, batch: Sequences, scale: float = 1.0) -> Fit:
        """Make one step of the optimiser.

        :param batch: episodes
        :param scale: of the learning rate
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * scale
        rows, steps, weights = all_prefixes(batch.counts, 1.0)
        labels = th.as_tensor(batch.labels[rows])
        self.network.train()
        logits = self.network(as_tensor(batch.glimpses[rows, steps])).flatten(1)
        losses = F.cross_entropy(
            logits, labels, reduction="none", label_smoothing=self.label_smoothing
        )
        loss = losses @ th.as_tensor(weights)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.network.eval()
        right = (logits.detach().argmax(dim=1) == labels).numpy()
        size = batch.gaze.shape[1] + 1
        counts = steps + 1
        return Fit(
            loss.item(),
            np.bincount(counts[right], minlength=size),
            np.bincount(counts, minlength=size),
        )


def check_network_settings(settings: dict[str, Any]) -> None:
    """Refuse settings of a capsule that are for classifiers of glimpses only.

    :param settings: by name
    :raises GraphError: for one that a network of one's own has no use for
    """
    known = [*NetworkFitter.__init__.__kwdefaults__, "epochs", "capacity", "batch_size", "handover"]
    for name in settings:
        if name not in known:
            raise GraphError(
                f"got BatchCapsule({name}={settings[name]!r}) around a ModelModule, whose training "
                f"has none; {nearest(name, known)}"
            )


def as_tensor(value: NDArray) -> th.Tensor:
    """Return float32 numbers; of bytes of pictures (B, H, W, C) those in [0, 1], (B, C, H, W)."""
    tensor = th.as_tensor(value)
    if tensor.dtype == th.uint8:
        tensor = tensor / 255.0
        return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor
    return tensor.float()
