"""Trained agents that come with the package, a folder each: nothing has to be trained to see one.

A folder holds ``config.yml`` and ``model.zip``, as a run directory does, and ``card.json``: what
was measured, of which training (:mod:`glimpse_lab.pretrained.card`). What plays is kept, with
weights in half precision; ``python -m glimpse_lab.pretrained.export RUN_DIR NAME`` makes a folder.
"""

from __future__ import annotations

from pathlib import Path

#: of the folders of all agents
ROOT = Path(__file__).parent


def pretrained_names() -> list[str]:
    """Return the names of the agents that come with the package."""
    return sorted(file.parent.name for file in ROOT.glob("*/card.json"))


def folder_of(name: str) -> Path:
    """Return the folder of an agent that comes with the package.

    :param name: one of :func:`pretrained_names`
    :raises ValueError: for another
    """
    if name not in (names := pretrained_names()):
        known = ", ".join(names)
        raise ValueError(f"no agent {name!r:.80} comes with this package; known: {known}")
    return ROOT / name
