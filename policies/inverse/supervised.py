"""The upper reference: the same network, told the true actions."""

from __future__ import annotations

import torch as th
from torch.nn import functional as F

from glimpse_envs.inverse.core import InverseCore
from policies.inverse.enumeration import ActionEnumeration
from policies.inverse.losses import symmetry_loss, type_loss
from policies.inverse.policy import Branches


class SupervisedActions(ActionEnumeration):
    """Regression on the true actions: what rewards are worth beside it.

    The cross-entropy of the types, and the smooth absolute error of the true type's parameter, on
    all branches: that of ``after``, where there is one, is told the inverse. Of several actions on
    the way, the type that is furthest away.

    Parameters: see :class:`~policies.inverse.enumeration.ActionEnumeration`; those of what is
    tried are not used.
    """

    def losses(self, branches: Branches, core: InverseCore) -> dict[str, tuple[float, th.Tensor]]:
        """Return the terms of the loss by name, each with its weight.

        :param branches: what they say of the states of the lanes
        :param core: the lanes
        """
        remaining = th.as_tensor(core.remaining(), dtype=th.float32, device=self.device)  # (B, K)
        types = remaining.abs().argmax(dim=1)
        n_branches = len(branches.means)
        targets = types.expand(n_branches, -1)
        true = th.stack([remaining, -remaining][:n_branches])
        told = branches.means.gather(2, targets[..., None])
        wanted = true.gather(2, targets[..., None])
        terms = {
            "type": (self.type_coef, type_loss(branches.logits, targets)),
            "parameter": (self.parameter_coef, F.smooth_l1_loss(told, wanted, beta=0.1)),
        }
        if self.symmetry_coef and n_branches == 2:
            terms["symmetry"] = self.symmetry_coef, symmetry_loss(*branches)
        return terms
