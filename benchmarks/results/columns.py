"""What may stand in a cell of a table, and how its text is read.

Numbers are decimals, which keep as many digits as were measured: 0.850 is 85.0 %.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, NamedTuple

from glimpse_envs.registration import INSTRUCTED, INVERSE, REGISTERED

#: names of gazes in the tables, and how pages call them
GAZES = {
    "learned": "learned",
    "random": "random",
    "centre": "the middle",
    "grid": "grid",
    "stopping-grid": "grid that stops when sure",
    "overview-random": "overview, then random",
    "best-fixed": "best fixed sequence",
    "uncertainty": "oracle: surest next window",
    "saliency": "oracle: strongest edges",
}
#: who told actions, in the tables, and how pages call them
TOLD_BY = {
    "agent": "agent",
    "registration": "registration",
    "agent-there": "agent, the images of registration",
    "known": "agent, known instructions",
    "new-value": "agent, new values",
    "new-wording": "agent, new wordings",
    "new-both": "agent, new values and wordings",
    "new-word": "agent, words never heard",
}
EQUALLY_TRAINED, OWN = "equally trained", "the agent's own"
SPLITS = ("train", "validation", "test")


class Seeds(NamedTuple):
    """The seed of a run, or the seeds that a row sums up; written "0" or "0-2"."""

    first: int
    last: int

    @property
    def many(self) -> bool:
        """Whether the row sums up several runs."""
        return self.first != self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}" if self.many else str(self.first)


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number") from None
    if not number.is_finite():
        raise ValueError("a finite number")
    return number


def _between(low: int, high: int, text: str, wanted: str) -> Decimal:
    number = _number(text)
    if not low <= number <= high:
        raise ValueError(wanted)
    return number


def _amount(text: str) -> Decimal:
    number = _number(text)
    if number < 0:
        raise ValueError("a number from 0")
    return number


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,12}", text):
        raise ValueError("a whole number from 0")
    return int(text)


def _share(text: str) -> Decimal:
    return _between(0, 1, text, "a share from 0 to 1, such as 0.9932")


def _difference(text: str) -> Decimal:
    return _between(-1, 1, text, "a difference of shares from -1 to 1")


def _seeds(text: str) -> Seeds:
    match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", text)
    if not match or (match[2] and int(match[2]) <= int(match[1])):
        raise ValueError('a seed, or several such as "0-2"')
    return Seeds(int(match[1]), int(match[2] or match[1]))


def _commit(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{7,40}\+?", text):
        raise ValueError('7 to 40 hexadecimal digits, "+" after them for local changes')
    return text


def _env(text: str) -> str:
    if text not in REGISTERED | INVERSE | INSTRUCTED:
        raise ValueError("a registered id, such as GlimpseDigits-MultiCat-v0")
    return text


def _slug(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+([-.][a-z0-9]+)*", text):
        raise ValueError('a name of small letters and digits, such as "mnist-ram-s0"')
    return text


def _gaze(text: str) -> str:
    if text not in GAZES:
        raise ValueError(f"one of {', '.join(GAZES)}")
    return text


def _told_by(text: str) -> str:
    if text not in TOLD_BY:
        raise ValueError(f"one of {', '.join(TOLD_BY)}")
    return text


def _classifier(text: str) -> str:
    if text not in (EQUALLY_TRAINED, OWN):
        raise ValueError(f'"{EQUALLY_TRAINED}" or "{OWN}"')
    return text


def _split(text: str) -> str:
    if text not in SPLITS:
        raise ValueError(f"one of {', '.join(SPLITS)}")
    return text


Text = Annotated[str, str]
Number = Annotated[Decimal, _number]
Amount = Annotated[Decimal, _amount]
Share = Annotated[Decimal, _share]
Difference = Annotated[Decimal, _difference]
Count = Annotated[int, _count]
SeedList = Annotated[Seeds, _seeds]
Commit = Annotated[str, _commit]
Env = Annotated[str, _env]
Slug = Annotated[str, _slug]
ToldBy = Annotated[str, _told_by]
Gaze = Annotated[str, _gaze]
Classifier = Annotated[str, _classifier]
Split = Annotated[str, _split]
