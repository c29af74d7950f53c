"""Actions told in words, such as "move the digit up by five pixels".

All sentences of an environment are made once, as a table of bytes from which an episode draws a
row. Bytes, because a tokenizer belongs to a network: whichever reads them, the environment stays
the same. What is said is exact: an action is drawn first, rounded to a value that can be said, and
then done so.

**Held out.** Some wordings and some values are not in the train split: those of validation and test
are drawn from all of them, and the infos say which are new. Of each type every fifth number is held
out, of each type another fifth (:func:`is_held_out`), so that a number that was not heard with one
type was heard with others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.inverse.actions import (
    ANGLE,
    BRIGHTNESS,
    CURSOR_X,
    CURSOR_Y,
    SCALE,
    ActionTable,
    ActionType,
    X,
    Y,
)
from glimpse_envs.inverse.wordings import WORDINGS
from glimpse_envs.randomness import uniforms

LENGTH = 80
"""Bytes of an instruction, padded with zeros."""

LONGEST_NOUN = 16
"""Bytes of the word for the object."""

LARGEST_NUMBER = 899
"""Pixels, degrees or per cent: 899 % more is 999 % of it, the last number in words."""

_FORMS = 3  # "5 pixels", "5 px", "five pixels"
_WORDING, _FORM = ((1 << 41) + 100 * i for i in (4, 5))  # numbers of an episode's draws
_APART = 4.0  # between the parameters of two types in a sorted table: more than from -1 to 1


class Instructions:
    """The sentences of a split for the actions of a table.

    Numbers are whole pixels, degrees and per cent; factors are such per cent, too (20 % more is a
    factor of 1.2). Rows of the table are the values that can be said, R in all.

    :param actions: the types
    :param noun: what the object is called
    :param held_out: whether held-out wordings and values are among them
    :ivar numbers: what is said, negative for the other way, int64 (R,)
    :ivar types: of which type, int64 (R,)
    :ivar parameters: normalised, float32 (R,)
    :ivar new_values: which are held out of the train split, bool (R,)
    :raises ValueError: for a type none of whose values can be said, or sentences that are too long
    """

    def __init__(self, actions: ActionTable, noun: str, *, held_out: bool) -> None:
        texts: list[bytes] = []
        rows: list[tuple[int, int, float, bool]] = []
        firsts, counts = [], []
        for k, kind in enumerate(actions.types):
            for number in _numbers(kind):
                new = is_held_out(kind.attribute, number)
                if new and not held_out:
                    continue
                parts = WORDINGS[kind.attribute][number > 0][: None if held_out else 1]
                rows.append((number, k, _parameter(kind, number) / kind.largest, new))
                firsts.append(len(texts))
                lengths = [len(part) for part in parts] + [0] * (3 - len(parts))
                counts.append(np.cumsum(lengths))  # those of each part begin there
                texts += _sentences(kind, number, noun, sum(parts, ()))
            if not rows or rows[-1][1] != k:
                raise ValueError(
                    f"got {type(kind).__name__} from {kind.smallest:g} to {kind.largest:g} "
                    f"{kind.unit}, of which instructions in whole {_UNITS[kind.attribute]} can "
                    "say none in this split; wanted a wider range"
                )
        numbers, types, parameters, new_values = zip(*rows, strict=True)
        self.numbers, self.types = np.array(numbers), np.array(types)
        self.parameters = np.array(parameters, np.float32)
        self.new_values = np.array(new_values)
        self._firsts = np.array(firsts)
        self._known, self._heard, self._wordings = np.array(counts).T
        self._texts = np.stack([_padded(text) for text in texts])  # (sentences, LENGTH)
        keys = _APART * self.types + self.parameters.astype(np.float64)
        self._borders = 0.5 * (keys[1:] + keys[:-1])

    def nearest(
        self, types: NDArray[np.int64], parameters: NDArray[np.floating]
    ) -> NDArray[np.int64]:
        """Return the rows of the values nearest to actions, int64 (n,).

        :param types: int64 (n,)
        :param parameters: normalised, (n,)
        """
        return np.searchsorted(self._borders, _APART * types + parameters.astype(np.float64))

    def say(
        self, rows: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return a sentence for each of n actions, and what the train split lacks of it.

        :param rows: of the values, int64 (n,)
        :param stream: random streams that choose wordings and forms of numbers, uint64 (n,)
        :return: uint8 (n, LENGTH); whether the wording is a held-out one, bool (n,); whether the
            word that tells the type is, too, bool (n,)
        """
        wording = _below(uniforms(stream, _WORDING), self._wordings[rows])
        form = _below(uniforms(stream, _FORM), _FORMS)
        texts = self._texts[self._firsts[rows] + _FORMS * wording + form]
        return texts, wording >= self._known[rows], wording >= self._heard[rows]


def encode(text: str) -> NDArray[np.uint8]:
    """Return a text as an instruction, UTF-8 padded with zeros, uint8 (80,).

    :raises ValueError: for no text, or one of more than 80 bytes
    """
    if not isinstance(text, str) or "\0" in text or not text.strip():
        raise ValueError(f"got instruction {text!r}; wanted a text, such as 'move it up by 5 px'")
    data = text.encode()
    if len(data) > LENGTH:
        raise ValueError(f"got an instruction of {len(data)} bytes; wanted at most {LENGTH}")
    return _padded(data)


def decode(instruction: NDArray[np.uint8]) -> str:
    """Return the text of an instruction.

    :param instruction: UTF-8 padded with zeros, uint8 (L,); what is no UTF-8, as in a random sample
        of the observation space, becomes the replacement character
    """
    return bytes(np.asarray(instruction, np.uint8)).rstrip(b"\0").decode(errors="replace")


def is_held_out(attribute: int, number: int) -> bool:
    """Return whether the train split does not say a number of a type.

    Of moves to the right 3, 8, 12, 17, 21, ..., of moves down 2, 7, 11, 16, 20, ..., and so on.

    :param attribute: that the type changes, see ``ATTRIBUTES``
    :param number: whole pixels, degrees or per cent, either way
    """
    size = abs(number)
    # with the tens, so that of no type the same last digits are missing everywhere
    return (size + size // 10 + attribute) % 5 == 3


def check_noun(value: Any) -> None:
    """Check a word for the object.

    :raises ValueError: if it is none
    """
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise ValueError(f"got instructions={value!r}; wanted true, false or a word for the object")
    if len(value.encode()) > LONGEST_NOUN:
        raise ValueError(
            f"got instructions={value!r}; wanted a word of at most {LONGEST_NOUN} bytes"
        )


def in_words(number: int) -> str:
    """Return a whole number from 0 to 999 in English words, such as "twenty-three"."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_SMALL[ones]}" if ones else "")
    hundreds, rest = divmod(number, 100)
    return f"{_SMALL[hundreds]} hundred" + (f" and {in_words(rest)}" if rest else "")


_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = ("", "", *"twenty thirty forty fifty sixty seventy eighty ninety".split())

_UNITS = {
    X: "pixels",
    Y: "pixels",
    ANGLE: "degrees",
    SCALE: "per cent",
    BRIGHTNESS: "per cent",
    CURSOR_X: "pixels",
    CURSOR_Y: "pixels",
}
_CURSORS = (CURSOR_X, CURSOR_Y)


def _numbers(kind: ActionType) -> Iterator[int]:
    """Return what can be said of a type, the other way first, the largest of it first.

    :raises ValueError: for numbers that are too large
    """
    for way in (-1, 1):
        low, high = (way * _number(kind, way * size) for size in (kind.smallest, kind.largest))
        if high > LARGEST_NUMBER:
            raise ValueError(
                f"got {type(kind).__name__} by up to {kind.largest:g} {kind.unit}; instructions "
                f"say at most {LARGEST_NUMBER} {_UNITS[kind.attribute]}: take a smaller 'largest'"
            )
        whole = range(max(1, math.ceil(low - 1e-9)), math.floor(high + 1e-9) + 1)
        yield from (way * size for size in (whole if way > 0 else reversed(whole)))


def _number(kind: ActionType, parameter: float) -> float:
    """Return what a parameter in its unit would be in the unit that is said."""
    return (
        100.0 * math.expm1(min(parameter, 50.0))
        if _UNITS[kind.attribute] == "per cent"
        else parameter
    )


def _parameter(kind: ActionType, number: int) -> float:
    """Return the parameter, in its unit, that a number says; never beyond the largest."""
    exact = math.log1p(number / 100.0) if _UNITS[kind.attribute] == "per cent" else float(number)
    return min(max(exact, -kind.largest), kind.largest)


def _sentences(
    kind: ActionType, number: int, noun: str, wordings: tuple[str, ...]
) -> Iterator[bytes]:
    """Return all sentences for an action, wording by wording."""
    what = "cursor" if kind.attribute in _CURSORS else noun
    forms = _value_forms(kind.attribute, number)
    for wording in wordings:
        for form in forms:
            text = wording.format(what=what, **form).encode()
            if len(text) > LENGTH:
                raise ValueError(
                    f"got {type(kind).__name__} by up to {kind.largest:g} {kind.unit}, whose "
                    f"instruction {text.decode()!r} has {len(text)} bytes; wanted at most {LENGTH}"
                )
            yield text


def _value_forms(attribute: int, number: int) -> list[dict[str, str]]:
    """Return how a value is said: in digits, in digits otherwise, in words."""
    size, unit = abs(number), _UNITS[attribute]
    if unit == "per cent":
        share = 100 + number
        return [
            {"by": f"{size} %", "to": f"{share} %", "factor": f"{share / 100:g}"},
            {"by": f"{size} percent", "to": f"{share} percent", "factor": f"{share / 100:.2f}"},
            {
                "by": f"{in_words(size)} percent",
                "to": f"{in_words(share)} percent",
                "factor": _factor_in_words(share),
            },
        ]
    whole = unit.removesuffix("s") if size == 1 else unit
    short = f"{size} px" if unit == "pixels" else f"{size}°"
    return [{"by": f"{size} {whole}"}, {"by": short}, {"by": f"{in_words(size)} {whole}"}]


def _factor_in_words(share: int) -> str:
    """Return per cent as a factor, such as "one point zero five"."""
    whole, rest = divmod(share, 100)
    decimals = f"{rest:02d}".rstrip("0")
    return " ".join([in_words(whole), *(["point"] if decimals else []), *map(_digit, decimals)])


def _digit(digit: str) -> str:
    return _SMALL[int(digit)]


def _padded(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text.ljust(LENGTH, b"\0"), np.uint8).copy()


def _below(draws: NDArray[np.float32], n: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Return draws from [0, 1) as integers from 0 to n - 1; float32 could round up to n."""
    return (draws.astype(np.float64) * n).astype(np.int64)
