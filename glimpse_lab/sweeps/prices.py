"""The price of a glimpse in a reward, whatever form the reward has in a recipe."""

from __future__ import annotations

from typing import Any

from glimpse_envs.components import resolve
from glimpse_envs.rewards import GlimpseCost, Reward, Sum


def price_of(reward: Any) -> float:
    """Return what a glimpse costs: the sum of all ``GlimpseCost`` terms, times their weights.

    :param reward: a name, a dict with a type, or a ``Reward`` object
    :raises ValueError: for what is no reward
    """
    part = resolve(reward, Reward)
    if isinstance(part, GlimpseCost):
        return float(part.cost)
    if isinstance(part, Sum):
        return sum(w * price_of(term) for term, w in zip(part.terms, part.weights, strict=True))
    return 0.0


def with_price(reward: Any, price: float) -> dict[str, Any]:
    """Return the reward with another price of a glimpse, as a dict that a recipe can hold.

    All ``GlimpseCost`` terms are taken out, those of sums within sums too, and one of weight 1 is
    added at the end.

    :param reward: a name, or a dict with a type
    :param price: of one glimpse, finite
    :raises ValueError: for what is no reward, or an object, which a recipe cannot hold
    """
    if isinstance(reward, Reward):
        raise ValueError(
            f"got the object {reward!r}; wanted a reward by name or as a dict, such as "
            '{"type": "Sum", "terms": ["Terminal"]}'
        )
    resolve(reward, Reward)  # with its message about unknown names and arguments
    cost = {"type": "GlimpseCost", "cost": float(price)}
    resolve(cost, Reward)
    kept = _without_price(reward)
    if kept is None:
        return {"type": "Sum", "terms": [cost]}
    if not _is_sum(kept):
        return {"type": "Sum", "terms": [kept, cost]}
    priced = {**kept, "terms": [*kept["terms"], cost]}
    if kept.get("weights") is not None:
        priced["weights"] = [*kept["weights"], 1.0]
    return priced


def _is_sum(reward: Any) -> bool:
    return type(resolve(reward, Reward)) is Sum  # a sum of the user's own may mean something else


def _without_price(reward: Any) -> Any:
    """Return the reward without any ``GlimpseCost``; None if nothing is left."""
    if isinstance(resolve(reward, Reward), GlimpseCost):
        return None
    if not _is_sum(reward):
        return reward
    terms = list(reward["terms"])
    weights = reward.get("weights")
    weights = [1.0] * len(terms) if weights is None else list(weights)
    kept = [(_without_price(term), w) for term, w in zip(terms, weights, strict=True)]
    kept = [(term, weight) for term, weight in kept if term is not None]
    if not kept:
        return None
    left = {**reward, "terms": [term for term, _ in kept]}
    if reward.get("weights") is not None:
        left["weights"] = [weight for _, weight in kept]
    return left
