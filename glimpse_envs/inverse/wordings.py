"""The sentences by which actions are told."""

from __future__ import annotations

from typing import NamedTuple

from glimpse_envs.inverse.actions import ANGLE, BRIGHTNESS, CURSOR_X, CURSOR_Y, SCALE, X, Y


class Wordings(NamedTuple):
    """Sentences for an action one way.

    ``{what}`` stands for the object, ``{by}`` for a value with its unit, ``{factor}`` and ``{to}``
    for one as a factor and as a share of what it was.

    :param train: of all splits
    :param held_out: of validation and test alone; which type they tell can be read from words that
        sentences of ``train`` have, too
    :param unheard: of validation and test alone; the word that tells the type is in no sentence of
        ``train``, and only a model that has read other texts can know it
    """

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    unheard: tuple[str, ...] = ()


def _moves(way: str, to: str) -> Wordings:
    return Wordings(
        train=(
            f"move the {{what}} {way} by {{by}}",
            f"move the {{what}} {{by}} {to}",
            f"shift the {{what}} {to} by {{by}}",
            f"push the {{what}} {{by}} {way}",
            f"please drag the {{what}} {{by}} {to}",
            f"the {{what}} should go {way} by {{by}}",
        ),
        held_out=(
            f"slide the {{what}} {{by}} {to}",
            f"take the {{what}} and bring it {way}, by {{by}}",
        ),
    )


def _turns(way: str, other: str) -> Wordings:
    return Wordings(
        train=(
            f"rotate the {{what}} {way} by {{by}}",
            f"rotate the {{what}} by {{by}} {other}",
            f"turn the {{what}} {{by}} {other}",
            f"please turn the {{what}} {way} by {{by}}",
            f"the {{what}} should be turned {{by}} {way}",
        ),
        held_out=(
            f"spin the {{what}} {{by}} {way}",
            f"give the {{what}} a turn of {{by}}, {other}",
        ),
    )


_FACTORS = (
    "scale the {what} by a factor of {factor}",
    "multiply the size of the {what} by {factor}",
    "scale the {what} to {to} of its size",
)
_BRIGHTER = (
    "multiply the brightness of the {what} by {factor}",
    "set the {what} to {to} of its brightness",
)

_HORIZONTAL = _moves("left", "to the left"), _moves("right", "to the right")
_VERTICAL = _moves("up", "upwards"), _moves("down", "downwards")

WORDINGS: dict[int, tuple[Wordings, Wordings]] = {
    X: _HORIZONTAL,
    Y: _VERTICAL,
    ANGLE: (_turns("counterclockwise", "anticlockwise"), _turns("clockwise", "to the right")),
    SCALE: (
        Wordings(
            train=(
                "shrink the {what} by {by}",
                "make the {what} {by} smaller",
                "scale the {what} down by {by}",
                *_FACTORS,
            ),
            held_out=("let the {what} be smaller by {by}", "the {what} should be {by} smaller"),
            unheard=("reduce the {what} by {by}",),
        ),
        Wordings(
            train=(
                "enlarge the {what} by {by}",
                "make the {what} {by} larger",
                "scale the {what} up by {by}",
                *_FACTORS,
            ),
            held_out=("let the {what} be larger by {by}", "the {what} should be {by} larger"),
            unheard=("grow the {what} by {by}",),
        ),
    ),
    BRIGHTNESS: (
        Wordings(
            train=(
                "darken the {what} by {by}",
                "make the {what} {by} darker",
                "lower the brightness of the {what} by {by}",
                *_BRIGHTER,
            ),
            held_out=("let the {what} be darker by {by}", "the {what} should be {by} darker"),
            unheard=("dim the {what} by {by}",),
        ),
        Wordings(
            train=(
                "brighten the {what} by {by}",
                "make the {what} {by} brighter",
                "raise the brightness of the {what} by {by}",
                *_BRIGHTER,
            ),
            held_out=("let the {what} be brighter by {by}", "the {what} should be {by} brighter"),
            unheard=("light the {what} up by {by}",),
        ),
    ),
    CURSOR_X: _HORIZONTAL,
    CURSOR_Y: _VERTICAL,
}
"""By the attribute that a type changes: sentences for less of it, and for more."""
