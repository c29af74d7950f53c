"""What trains a classifier: Muon on its matrices and convolutions, AdamW on the rest."""

from typing import Any

import torch as th
from torch import nn

from policies.optimizers import Matrices, check_optimizer_state

OPTIMIZERS = ("muon", "adamw")


class ClassifierOptimizer:
    """One optimiser of all weights of a classifier.

    :param memory: whose matrices and convolutions Muon trains
    :param readout: trained by AdamW, as are all vectors
    :param kind: ``"muon"``, or ``"adamw"`` for all weights
    :param learning_rate: of AdamW
    :param muon_learning_rate: of Muon
    :param weight_decay: of both, decoupled, of all that are no vectors
    :raises ValueError: for another kind
    """

    def __init__(
        self,
        memory: nn.Module,
        readout: nn.Module,
        *,
        kind: str,
        learning_rate: float,
        muon_learning_rate: float,
        weight_decay: float,
    ) -> None:
        if kind not in OPTIMIZERS:
            raise ValueError(f"got optimizer={kind!r}; wanted one of {', '.join(OPTIMIZERS)}")
        learning = [p for module in (memory, readout) for p in module.parameters()]
        learning = [parameter for parameter in learning if parameter.requires_grad]
        taken = {id(p) for p in memory.parameters() if p.ndim > 1 and kind == "muon"}
        muon = [parameter for parameter in learning if id(parameter) in taken]
        rest = [parameter for parameter in learning if id(parameter) not in taken]
        decay = [parameter for parameter in rest if parameter.ndim > 1]
        vectors = [parameter for parameter in rest if parameter.ndim <= 1]
        groups = [
            {"params": decay, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._matrices = Matrices(muon, momentum=0.9, weight_decay=weight_decay) if muon else None
        self._parts: dict[str, tuple[th.optim.Optimizer, float]] = {
            "adamw": (th.optim.AdamW(groups, fused=True), learning_rate)
        }
        if self._matrices is not None:
            self._parts["muon"] = self._matrices.muon, muon_learning_rate
        self._parameters = muon + rest

    def step(self, scale: float) -> None:
        """Update all weights by their gradients, which are forgotten.

        :param scale: of the learning rates
        """
        for optimizer, learning_rate in self._parts.values():
            for group in optimizer.param_groups:
                group["lr"] = scale * learning_rate
        if self._matrices is not None:
            self._matrices.step()
        self._parts["adamw"][0].step()
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each part, for :meth:`load_state_dict`."""
        return {name: optimizer.state_dict() for name, (optimizer, _) in self._parts.items()}

    def check(self, state: Any) -> None:
        """Raise a ValueError unless a state fits."""
        if not isinstance(state, dict) or set(state) != set(self._parts):
            wanted = " and ".join(self._parts)
            raise ValueError(f"the optimiser's state is not one of {wanted}")
        for name, (optimizer, _) in self._parts.items():
            check_optimizer_state(optimizer, state[name])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        :raises ValueError: if it does not fit
        """
        self.check(state)
        for name, (optimizer, _) in self._parts.items():
            optimizer.load_state_dict(state[name])
