"""One distribution for all parts of a Dict action space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution
from torch import nn

from glimpse_envs.boxview import BoxView, Part
from glimpse_envs.components import nearest
from policies.actions.components import (
    Bernoulli,
    Categorical,
    ComponentDistribution,
    DeterministicMean,
    Gaussian,
)

CONTINUOUS = ("gaussian", "deterministic")

EACH = "each"
"""Value of a gate: choice i opens number i alone."""


class Gate(NamedTuple):
    """What opens a part.

    :param part: name of another part, a ``Discrete``
    :param values: those of its choices that do, counted from 0; None where each choice opens the
        number of its own of a ``Box``
    """

    part: str
    values: list[int] | None


class HybridDistribution(DiagGaussianDistribution):
    """Categorical, Bernoulli and Gaussian parts in one log-probability and one entropy.

    Actions are those of a :class:`~glimpse_envs.boxview.BoxView`, float32 (B, view.size). The
    parameters lie in the same columns: logits for ``Discrete``, ``MultiDiscrete`` and
    ``MultiBinary``, means in the view's units for ``Box``; a deviation that does not depend on the
    observation for each column of a ``Box``. Given the parameters the parts are independent, but
    for the gates: a gated part counts only where its gate is open, so that

        log p(a) = sum over parts of open(a) log p(part),
        H = sum over parts of P(open) w H(part),

    which with weights of 1 are the exact log-probability and entropy of what the environment sees
    (chain rule): the noise of a head that had no say is in neither the ratio nor the bonus.
    (Parameterised action spaces: Hausknecht and Stone 2016, arXiv 1511.04143; factored heads in
    PPO: Fan et al. 2019, "Hybrid Actor-Critic", arXiv 1903.01344.)

    :param view: the action space
    :param gates: by part, the part that opens it and the value or values with which it does, such
        as ``{"class": {"decision": 1}}``. A gate can have a gate. With ``"each"`` as the value, a
        ``Discrete(n)`` opens one number of a ``Box`` of n: its choice's own, as of the parameters
        of n types of actions
    :param entropy_weights: by part, its weight w in the entropy; 1 where it is not named
    :param continuous: ``"gaussian"``: ``Box`` parts are sampled around their mean and the mean is
        the mode; ``"deterministic"``: they are what the network says, plus noise of the deviation
        that counts as the environment's own. PPO gives these heads no gradient: train them
        otherwise, as :class:`~policies.actions.cacla.CACLA` does.
    :raises ValueError: for a part that the view does not have, or gates in a circle
    """

    def __init__(
        self,
        view: BoxView,
        *,
        gates: Mapping[str, Mapping[str, Any]] | None = None,
        entropy_weights: Mapping[str, float] | None = None,
        continuous: str = "gaussian",
    ) -> None:
        if not isinstance(view, BoxView):
            raise ValueError(
                f"got actions {view}; wanted a BoxView: wrap the environment in "
                "glimpse_envs.BoxActions"
            )
        super().__init__(view.size)
        if continuous not in CONTINUOUS:
            raise ValueError(f"got continuous={continuous!r}; {nearest(continuous, CONTINUOUS)}")
        self.parts = {part.name: part for part in view.parts}
        self.gates = {
            self._known(name): self._gate(name, gate) for name, gate in (gates or {}).items()
        }
        self.weights = {
            self._known(name): float(weight) for name, weight in (entropy_weights or {}).items()
        }
        self.continuous = continuous
        self.order = self._gates_first()
        self.n_continuous = sum(part.columns.stop - part.columns.start for part in self.boxes())
        self.components: dict[str, ComponentDistribution] = {}

    def proba_distribution_net(
        self, latent_dim: int, log_std_init: float = 0.0
    ) -> tuple[nn.Module, nn.Parameter]:
        """Return the layer that makes the parameters, and the logarithm of the deviations.

        The layer has a head for each part; the deviations are float32 (number of continuous
        columns,), one unused if there are none.

        :param latent_dim: size of the latent code
        :param log_std_init: logarithm of the first deviation of the continuous columns
        """
        net = nn.Linear(latent_dim, self.action_dim)
        return net, self.make_log_std(log_std_init)

    def make_log_std(self, log_std_init: float) -> nn.Parameter:
        """Return the logarithm of the deviations, of no use if nothing is continuous."""
        return nn.Parameter(th.ones(max(1, self.n_continuous)) * log_std_init)

    def proba_distribution(self, mean_actions: th.Tensor, log_std: th.Tensor) -> HybridDistribution:
        """Return itself.

        :param mean_actions: float32 (B, view.size), the parameters
        :param log_std: float32 (number of continuous columns,), or of each row its own
        """
        std = log_std.exp()
        begun = 0
        for name, part in self.parts.items():
            columns = mean_actions[:, part.columns]
            if isinstance(part.space, spaces.Box):
                width = columns.shape[1]
                kind = Gaussian if self.continuous == "gaussian" else DeterministicMean
                self.components[name] = kind(columns, std[..., begun : begun + width])
                begun += width
            elif isinstance(part.space, spaces.MultiBinary):
                self.components[name] = Bernoulli(columns)
            else:
                self.components[name] = Categorical(list(columns.split(_sizes(part.space), dim=1)))
        return self

    def log_prob(self, actions: th.Tensor) -> th.Tensor:
        """Return float32 (B,).

        :param actions: float32 (B, view.size)
        """
        total = actions.new_zeros(len(actions))
        opened = self.opened(actions)
        for name, part in self.parts.items():
            columns, component = actions[:, part.columns], self.components[name]
            value = (
                self.counted(name, component.log_probs(columns), actions)
                if isinstance(component, Gaussian)
                else component.log_prob(columns)
            )
            total = total + (th.where(opened[name], value, 0.0) if name in opened else value)
        return total

    def counted(self, name: str, numbers: th.Tensor, actions: th.Tensor) -> th.Tensor:
        """Return what numbers of a ``Box`` come to: their sum, or that one which is opened.

        :param name: of the part
        :param numbers: float32 (B, width)
        :param actions: float32 (B, view.size)
        :return: float32 (B,)
        """
        gate = self.gates.get(name)
        if gate is None or gate.values is not None:
            return numbers.sum(dim=1)
        return numbers.gather(1, self._chosen(gate, actions)[:, None])[:, 0]

    def _chosen(self, gate: Gate, actions: th.Tensor) -> th.Tensor:
        """Return the choices of the part that a gate depends on, int64 (B,)."""
        return actions[:, self.parts[gate.part].columns].argmax(dim=1)

    def opened(self, actions: th.Tensor) -> dict[str, th.Tensor]:
        """Return whether each part with a gate counts, bool (B,) by name.

        :param actions: float32 (B, view.size)
        """
        opened: dict[str, th.Tensor] = {}
        for name in self.order:
            gate = self.gates.get(name)
            if gate is not None:
                chosen = self._chosen(gate, actions)
                every = th.ones_like(chosen, dtype=th.bool)
                opened[name] = (
                    every
                    if gate.values is None
                    else th.isin(chosen, chosen.new_tensor(gate.values))
                )
                if gate.part in opened:
                    opened[name] = opened[name] & opened[gate.part]
        return opened

    def entropy(self) -> th.Tensor:
        """Return float32 (B,), see the class."""
        total: Any = 0.0
        opened: dict[str, th.Tensor] = {}
        for name in self.order:
            weight, gate = self.weights.get(name, 1.0), self.gates.get(name)
            if gate is None:
                value = self.components[name].entropy()
            else:
                probabilities = self.components[gate.part].categoricals[0].probs
                before = opened.get(gate.part, 1.0)
                if gate.values is None:
                    value = before * (probabilities * self.components[name].entropies()).sum(dim=1)
                    opened[name] = before
                else:
                    opened[name] = probabilities[:, gate.values].sum(dim=1) * before
                    value = opened[name] * self.components[name].entropy()
            value = weight * value
            total = total + value
        return total

    def sample(self) -> th.Tensor:
        """Return float32 (B, view.size)."""
        return th.cat([self.components[name].sample() for name in self.parts], dim=1)

    def mode(self) -> th.Tensor:
        """Return float32 (B, view.size), the most probable value of each part."""
        return th.cat([self.components[name].mode() for name in self.parts], dim=1)

    def actions_from_params(
        self, mean_actions: th.Tensor, log_std: th.Tensor, deterministic: bool = False
    ) -> th.Tensor:
        """Return actions with these parameters, see :meth:`proba_distribution`."""
        self.proba_distribution(mean_actions, log_std)
        return self.get_actions(deterministic=deterministic)

    def log_prob_from_params(
        self, mean_actions: th.Tensor, log_std: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor]:
        """Return sampled actions with these parameters, and their log-probability."""
        actions = self.actions_from_params(mean_actions, log_std)
        return actions, self.log_prob(actions)

    def boxes(self) -> list[Part]:
        """Return the continuous parts."""
        return [part for part in self.parts.values() if isinstance(part.space, spaces.Box)]

    def _known(self, name: str) -> str:
        if name not in self.parts:
            raise ValueError(
                f"got part {name!r}, which the actions have not; {nearest(name, self.parts)}"
            )
        return name

    def _gate(self, name: str, gate: Mapping[str, Any]) -> Gate:
        if not isinstance(gate, Mapping) or len(gate) != 1:
            raise ValueError(
                f"got gate {gate!r} of {name!r}; wanted the part that opens it and its values, "
                "such as {'decision': 1}"
            )
        ((other, values),) = gate.items()
        space = self.parts[self._known(other)].space
        values = list(values) if isinstance(values, (list, tuple)) else [values]
        if not values:
            raise ValueError(f"got no value of {other!r} that opens {name!r}; wanted at least one")
        if values == [EACH]:
            self._check_each(name, other)
            return Gate(other, None)
        if not isinstance(space, spaces.Discrete):
            raise ValueError(
                f"got part {other!r}, which opens {name!r}, as {space}; wanted Discrete"
            )
        for value in values:
            if value not in space:
                raise ValueError(
                    f"got {value!r} of {other!r}, which opens {name!r}; wanted one of {space}"
                )
        return Gate(other, sorted({int(value - space.start) for value in values}))

    def _check_each(self, name: str, other: str) -> None:
        """Raise a ValueError unless each choice of a part has a number of another of its own."""
        box, choices = self.parts[name].space, self.parts[other].space
        fits = isinstance(box, spaces.Box) and isinstance(choices, spaces.Discrete)
        if not fits or box.shape != (choices.n,):
            raise ValueError(
                f"got {other!r}, {choices}, of which each opens its own of {name!r}, {box}; wanted "
                "Discrete(n) and a Box of n numbers"
            )

    def _gates_first(self) -> list[str]:
        """Return the parts, each after the one that opens it."""
        order: list[str] = []
        while len(order) < len(self.parts):
            free = [
                name
                for name in self.parts
                if name not in order and (name not in self.gates or self.gates[name].part in order)
            ]
            if not free:
                rest = sorted(set(self.parts) - set(order))
                raise ValueError(
                    f"got gates of {rest} in a circle; wanted at least one part without a gate"
                )
            order += free
        return order


def _sizes(space: spaces.Discrete | spaces.MultiDiscrete) -> list[int]:
    """Return numbers of choices of each categorical."""
    return [int(space.n)] if isinstance(space, spaces.Discrete) else space.nvec.ravel().tolist()
