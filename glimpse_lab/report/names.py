"""What baselines are called where people read of them."""

from __future__ import annotations

_SHOWN = {
    "random": "random windows",
    "centre": "always the middle",
    "grid": "four quadrants in turn",
    "stopping grid": "four quadrants in turn until sure",
    "overview-random": "overview, then random",
    "best-fixed": "best fixed sequence",
    "stay": "where it began",
    "pursuit": "always on the object",
    "saliency": "strongest edges",
    "uncertainty": "surest classifier",
    "full image": "whole image",
    "random gaze (same agent, off-distribution)": "this agent with its gaze drawn at random",
}
_TRAINED = " (equally trained)"


def shown_name(name: str) -> str:
    """Return the name of a baseline in words; one that is not known stays as it is.

    :param name: a key of ``Evaluation.baselines``
    """
    kind, trained, _ = name.partition(_TRAINED)
    return _SHOWN.get(kind, kind) + trained
