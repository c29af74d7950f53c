"""What the runs of a group differ in: their seeds, and a setting that a sweep changes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glimpse_lab.dotted import is_key, last_name
from glimpse_lab.recipes import parse_value
from glimpse_lab.yaml_files import YamlError, parse_yaml

#: the setting whose values are prices of a glimpse, in whatever reward the recipe has
COST = "cost"


@dataclass(frozen=True, eq=False)  # by identity: a value may be a list or a dict
class Change:
    """One value of a sweep.

    :param setting: a hyperparameter with dots that reach inside, or ``COST``
    :param value: as YAML gives it
    """

    setting: str
    value: Any

    @property
    def name(self) -> str:
        """A folder's name of the sweep."""
        return f"sweep-{last_name(self.setting)}"

    @property
    def label(self) -> str:
        """A folder's name: the setting's last part and the value."""
        text = self.value if isinstance(self.value, str) else json.dumps(self.value)
        text = text.removesuffix(".0")
        text = "".join(c if c.isalnum() or c in "._+-" else "_" for c in text)
        return f"{last_name(self.setting)}={text}"

    @property
    def overrides(self) -> dict[str, Any]:
        """What is set in the recipe; nothing for a price."""
        return {} if self.setting == COST else {self.setting: self.value}

    @property
    def price(self) -> float | None:
        """The price of a glimpse; None for another setting."""
        return self.value if self.setting == COST else None


def parse_seeds(text: str) -> list[int]:
    """Return the seeds that a text names, such as ``0-4`` or ``0,3,7`` or ``0-2,10``.

    Numbers and ranges with both ends, separated by commas.

    :raises ValueError: for another form, a range that falls, or a seed named twice
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        words = [first, last] if dash else [first]
        # ASCII alone: "²".isdigit() is true, and int("²") fails
        if not all(word.isascii() and word.isdigit() for word in words):
            raise ValueError(
                f"got --seeds {text}; wanted numbers from 0 and ranges, such as 0-4 or 0,3,7"
            )
        start, end = int(first), int(last if dash else first)
        if end < start:
            raise ValueError(f"got --seeds {text}; wanted the smaller end of {part!r} first")
        if end >= 2**31 or end - start >= 10_000:
            raise ValueError(f"got --seeds {text}; wanted at most 10,000 seeds below 2^31")
        seeds.extend(range(start, end + 1))
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"got --seeds {text}; wanted each seed once")
    return seeds


def choose_sweep(prices: Sequence[float] | None, text: str | None) -> list[Change]:
    """Return the changes of a sweep over prices of a glimpse, or over what a text names.

    None for neither.

    :raises ValueError: as ``parse_sweep``, and for a price that is not finite
    """
    if prices is not None:
        return check_changes([Change(COST, price) for price in prices])
    return [] if text is None else parse_sweep(text)


def parse_sweep(text: str) -> list[Change]:
    """Return the changes that ``KEY=VALUE,VALUE,...`` names; values are YAML.

    :raises ValueError: for another form, or values that are the same or have the same label
    """
    key, equals, values = text.partition("=")
    wanted = "wanted KEY=VALUE,VALUE, such as env_kwargs.budget=2,4,6"
    if not equals or not is_key(key):
        raise ValueError(f"got --sweep {text}; {wanted}")
    if key == COST:
        raise ValueError(f"got --sweep {text}; wanted --sweep-cost PRICE PRICE ... for prices")
    try:
        parsed = parse_yaml(f"[{values}]")
    except YamlError as error:
        raise ValueError(f"got --sweep {text:.200}; {wanted} ({error})") from error
    # YAML 1.1 reads 3e-4, without a point, as a word
    parsed = [parse_value(value) if isinstance(value, str) else value for value in parsed]
    return check_changes([Change(key, value) for value in parsed])


def check_changes(changes: list[Change]) -> list[Change]:
    """Return the changes if there are at least two, with a folder's name for each.

    :raises ValueError: if not, or for a price that is not finite
    """
    labels = [change.label for change in changes]
    if len(changes) < 2 or len(set(labels)) < len(labels):
        raise ValueError(f"got a sweep of {', '.join(labels)}; wanted at least two, each once")
    for change in changes:
        if change.setting == COST and not math.isfinite(change.value):
            raise ValueError(f"got the price {change.value}; wanted finite numbers, such as 0 0.01")
    return changes
