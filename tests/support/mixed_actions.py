"""Dict actions of every kind, gates between their parts, and what a distribution of them is."""

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from torch.distributions import Bernoulli, Categorical, Normal

from glimpse_envs.boxview import BoxView
from policies import HybridDistribution

MIXED = BoxView(
    spaces.Dict(
        {
            "arm": spaces.Dict(
                {
                    "angle": spaces.Box(np.float32([-2, 0]), np.float32([5, 1])),
                    "grip": spaces.Discrete(3, start=-1),
                    "hand": spaces.Dict({"fingers": spaces.MultiBinary((2, 2))}),
                }
            ),
            "force": spaces.Box(-np.inf, np.inf, (2, 1), np.float32),
            "keys": spaces.MultiDiscrete([[3, 2], [4, 1]], start=[[0, 5], [-2, 0]]),
            "tool": spaces.Discrete(4),
        }
    )
)
CHAIN = {
    "arm.grip": {"tool": [1, 3]},
    "arm.angle": {"arm.grip": 1},
    "arm.hand.fingers": {"arm.grip": (-1, 0)},
    "keys": {"tool": 0},
}

DISCRETE = BoxView(
    spaces.Dict(
        {
            "free": spaces.Discrete(2),
            "grip": spaces.Discrete(3, start=-1),
            "keys": spaces.MultiDiscrete([2, 3]),
            "lights": spaces.MultiBinary(2),
            "tool": spaces.Discrete(3),
        }
    )
)
DISCRETE_GATES = {"grip": {"tool": [1, 2]}, "keys": {"grip": 0}, "lights": {"tool": 0}}


def made(view: BoxView, n: int = 6, **kwargs):
    """A distribution with random parameters, which are given too."""
    dist = HybridDistribution(view, **kwargs)
    generator = th.Generator().manual_seed(0)
    parameters = th.randn(n, view.size, generator=generator, requires_grad=True)
    log_std = dist.make_log_std(-1.0)
    with th.no_grad():
        log_std += 0.3 * th.randn(len(log_std), generator=generator)
    return dist.proba_distribution(parameters, log_std), parameters, log_std


def columns_of(view: BoxView, name: str) -> slice:
    return next(part.columns for part in view.parts if part.name == name)


def leaf(actions: dict[str, Any], name: str) -> np.ndarray:
    for key in name.split("."):
        actions = actions[key]
    return np.asarray(actions)


def points(view: BoxView, n: int) -> th.Tensor:
    """Any points of the Box."""
    view.seed(1)
    return th.as_tensor(np.stack([view.sample() for _ in range(n)]))


def terms_of(view: BoxView, parameters, log_std, actions):
    """By part, log-probability and entropy (B,), of what the environment is told."""
    told = view.decode(actions.numpy())
    std = iter(log_std.exp())
    terms = {}
    for name, space, columns in view.parts:
        value = leaf(told, name)
        logits = parameters[:, columns]
        if isinstance(space, spaces.Box):
            low, high = space.low.astype(float), space.high.astype(float)
            if space.is_bounded():
                value = 2 * (value - low) / (high - low) - 1
            scale = th.stack([next(std) for _ in range(logits.shape[1])])
            components = [Normal(logits, scale.expand_as(logits))]
            values = [value.reshape(len(value), -1)]
        elif isinstance(space, spaces.MultiBinary):
            components, values = [Bernoulli(logits=logits)], [value.reshape(len(value), -1) * 1.0]
        else:
            sizes = np.ravel(space.n if isinstance(space, spaces.Discrete) else space.nvec)
            components = [Categorical(logits=each) for each in logits.split(sizes.tolist(), dim=1)]
            values = (value - space.start).reshape(len(value), -1).T
        pairs = zip(components, values, strict=True)
        log_prob = sum(
            distribution.log_prob(th.as_tensor(v)).reshape(len(v), -1).sum(1)
            for distribution, v in pairs
        )
        entropy = sum(
            distribution.entropy().reshape(len(value), -1).sum(1) for distribution in components
        )
        terms[name] = log_prob.float(), entropy
    return terms


def opened_parts(told: dict[str, Any]) -> dict[str, np.ndarray]:
    """Which parts CHAIN opens, bool (B,) each."""
    tool, grip = told["tool"], told["arm"]["grip"]
    held = (tool == 1) | (tool == 3)
    everywhere = np.ones(len(tool), bool)
    return {
        "tool": everywhere,
        "force": everywhere,
        "arm.grip": held,
        "arm.angle": held & (grip == 1),
        "arm.hand.fingers": held & (grip != 1),
        "keys": tool == 0,
    }
