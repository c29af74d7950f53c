"""Optimisers, and their states that come from files."""

from collections.abc import Callable, Iterable
from typing import Any

import torch as th
from torch import nn
from torch.optim import AdamW, Optimizer


class Matrices:
    """``torch.optim.Muon``, which takes matrices alone, for weights of any shape.

    A convolution's weight (out, in, height, width) is taken as a matrix (out, in * height *
    width). Muon (Jordan et al. 2024) moves along the orthogonal matrix nearest to the momentum,
    here as far as AdamW would in the root mean square (Liu et al. 2025, "Muon is scalable for LLM
    training").

    :param parameters: of two or more dimensions
    :param settings: of Muon
    """

    def __init__(self, parameters: list[nn.Parameter], **settings: Any) -> None:
        self.parameters = parameters
        self.matrices = [nn.Parameter(p.detach().flatten(1).clone()) for p in parameters]
        self.muon = th.optim.Muon(self.matrices, adjust_lr_fn="match_rms_adamw", **settings)

    def pairs(self) -> Iterable[tuple[nn.Parameter, nn.Parameter]]:
        """Return each parameter with its matrix."""
        return zip(self.parameters, self.matrices, strict=True)

    @th.no_grad()
    def step(self) -> None:
        """Update the parameters that have gradients."""
        for parameter, matrix in self.pairs():
            if matrix.device != parameter.device:  # SB3 moves policies after it made the optimiser
                matrix.data = matrix.data.to(parameter.device)
            matrix.copy_(parameter.flatten(1))  # which may have been loaded meanwhile
            matrix.grad = None if parameter.grad is None else parameter.grad.flatten(1)
        self.muon.step()
        for parameter, matrix in self.pairs():
            parameter.copy_(matrix.view_as(parameter))


class MuonAdamW(Optimizer):
    """Muon on matrices and convolutions, AdamW on vectors, as one optimiser for SB3's policies.

    :param params: of the policy; those that are frozen by then are left out
    :param lr: of AdamW; where it changes, Muon's follows
    :param muon_ratio: Muon's learning rate, as a multiple of ``lr``
    :param momentum: of Muon
    :param weight_decay: of matrices and convolutions, decoupled
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        muon_ratio: float = 5.0,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
    ) -> None:
        # a frozen network, such as a large text model, would be copied at each step for nothing
        parameters = [p for p in params if p.requires_grad]
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        self._muon = Matrices(matrices, momentum=momentum, weight_decay=weight_decay)
        self._adamw = AdamW(vectors, weight_decay=0.0)
        super().__init__([{"params": matrices}, {"params": vectors}], {"lr": lr})
        self.muon_ratio = muon_ratio
        self._adamw.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the parameters that have gradients.

        :param closure: as for PyTorch's optimisers
        """
        loss = None if closure is None else closure()
        of_matrices, of_vectors = (group["lr"] for group in self.param_groups)
        self._muon.muon.param_groups[0]["lr"] = self.muon_ratio * of_matrices
        self._adamw.param_groups[0]["lr"] = of_vectors
        self._muon.step()
        self._adamw.step()
        for parameter, matrix in self._muon.pairs():
            if (momentum := self._muon.muon.state[matrix].get("momentum_buffer")) is not None:
                self.state[parameter]["momentum_buffer"] = momentum.view_as(parameter)
        return loss

    def __getstate__(self) -> dict[str, Any]:  # PyTorch's keeps its own attributes alone
        own = {name: vars(self)[name] for name in ("_muon", "_adamw", "muon_ratio")}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state that ``state_dict()`` gave."""
        super().load_state_dict(state_dict)
        self._adamw.state = self.state
        self._muon.muon.state.clear()
        for parameter, matrix in self._muon.pairs():
            momentum = self.state.get(parameter, {}).get("momentum_buffer")
            if momentum is not None:
                self._muon.muon.state[matrix]["momentum_buffer"] = momentum.flatten(1).clone()


def check_optimizer_state(optimizer: Optimizer, state: Any) -> None:
    """Check that a saved state fits an optimiser, before it is loaded.

    PyTorch loads one of other shapes, and fails in the next step.

    :param optimizer: of the parameters that are trained
    :param state: what ``optimizer.state_dict()`` gave
    :raises ValueError: if it does not fit, or holds numbers that are not finite
    """
    if not isinstance(state, dict) or set(state) != {"state", "param_groups"}:
        raise ValueError("the optimiser's state is none")
    ours, theirs = optimizer.state_dict()["param_groups"], state["param_groups"]
    if not isinstance(theirs, list) or not all(isinstance(group, dict) for group in theirs):
        raise ValueError("the optimiser's groups are none")
    if [group["params"] for group in ours] != [group.get("params") for group in theirs]:
        raise ValueError("the optimiser's state is of other parameters")
    for group, other in zip(ours, theirs, strict=True):
        if set(group) - set(other):
            raise ValueError("the optimiser's groups lack settings")
    parameters = dict(
        enumerate(parameter for group in optimizer.param_groups for parameter in group["params"])
    )
    kept = state["state"]
    if not isinstance(kept, dict) or not set(kept) <= set(parameters):
        raise ValueError("the optimiser's state is of other parameters")
    for number, values in kept.items():
        if not isinstance(values, dict):
            raise ValueError("the optimiser's state is none")
        for name, value in values.items():
            whole = not isinstance(value, th.Tensor) or value.numel() == 1
            if not whole and value.shape != parameters[number].shape:
                raise ValueError(f"the optimiser's {name} has another shape")
            if isinstance(value, th.Tensor) and not th.isfinite(value).all():
                raise ValueError(f"the optimiser's {name} is not finite")
