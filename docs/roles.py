"""Docstrings as the reference shows them: Sphinx's roles and code blocks in Markdown.

An extension of griffe, which mkdocstrings reads docstrings with.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|meth|func|mod|attr|data|exc):`~?([^`]+)`")
_CODE = re.compile(r"::$", re.MULTILINE)


class Roles(griffe.Extension):
    """Shows the last name of a role's target as code, and "Example::" with one colon."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of everything that was read."""
        if obj.docstring is None:
            return
        text = _ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", obj.docstring.value)
        obj.docstring.value = _CODE.sub(":", text)
