"""States of optimisers that come from files."""

from typing import Any

import torch as th
from torch.optim import Optimizer


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
