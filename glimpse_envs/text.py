"""Texts of the user, made such that they can be drawn, printed and written."""

from __future__ import annotations

import os
import unicodedata

_UNSEEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
#: turn the direction of the text around them, so that a console shows another name
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def readable(text: str) -> str:
    """Return a text with nothing in it that a console, a font or a file of text refuses.

    What is fit to be read stays as it is. A name whose bytes are no UTF-8, as of a file that was
    made under Latin-1, is read as Latin-1; a character that cannot be seen, such as a control
    character, or that turns the direction of its neighbours, becomes the replacement character.

    :param text: of any characters, surrogates included
    """
    if any("\udc80" <= c <= "\udcff" for c in text):
        try:
            text = text.encode("utf-8", "surrogateescape").decode("latin-1")
        except UnicodeEncodeError:  # other surrogates beside those of undecodable bytes
            pass
    return "".join(
        "\ufffd" if c in _TURNING or unicodedata.category(c) in _UNSEEN else c for c in text
    )


def path_text(path: str | os.PathLike[str]) -> str:
    """Return a path as a text that can be printed and written."""
    return readable(os.fspath(path))
