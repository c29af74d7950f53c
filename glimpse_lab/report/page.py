"""A run's result as one self-contained HTML file: no script, nothing fetched from anywhere.

What the page says stands in the templates beside this file, ``page.html`` first; numbers are
written by the filters of ``formats``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from glimpse_envs.metrics.episodes import Metrics
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.report.gallery import HELPED, MOST, Gallery, Group
from glimpse_lab.report.html import (
    MAX_BYTES,
    Embedded,
    embedded_picture,
    render,
    with_film,
    write_html,
)
from glimpse_lab.report.names import shown_name
from glimpse_lab.report.verdict import choose_rival, verdict


def write_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    result: Evaluation,
    figures: Mapping[str, str | os.PathLike[str] | bytes] | None = None,
    gallery: Gallery | None = None,
    film: str | os.PathLike[str] | None = None,
    command: str | None = None,
) -> Path:
    """Write the page, which appears only when it is whole; return its path.

    What there is no data for is left out.

    :param path: of the file; missing folders are made
    :param title: of the page, such as the environment's id and the run's name
    :param result: what was found
    :param figures: PNG, JPEG or GIF files or their content, by the names that the templates give
        them
    :param gallery: of ``draw_gallery``
    :param film: an mp4 or gif; too large a one for the page is named instead
    :param command: that made the page
    :raises ValueError: a figure that the templates have no place for, a file that is no picture, or
        more than 5 MB of them
    """
    path = Path(path)
    embedded = {name: embedded_picture(figure, name) for name, figure in (figures or {}).items()}
    changed = result.env_kwargs
    content: dict[str, Any] = {
        "title": title,
        "result": result,
        "verdict": verdict(result).replace(" %", "\N{NO-BREAK SPACE}%"),
        "rival": choose_rival(result),
        "ranking": _ranking(result),
        "figures": embedded,
        "groups": [] if gallery is None else _shown(gallery),
        "example": None if gallery is None else _example(gallery),
        "settings": yaml.safe_dump(changed, sort_keys=False).strip() if changed else "",
        "command": command,
        "film": None,
        "film_beside": None,
    }
    page = _render(content)
    if homeless := [name for name, image in embedded.items() if image.uri not in page]:
        raise ValueError(f"got figures {homeless}; wanted names that the templates have")
    if film is not None:
        page = _render(content | with_film(Path(film), MAX_BYTES - len(page.encode())))
    return write_html(path, page)


def _render(content: Mapping[str, Any]) -> str:
    return render("page.html", content, shown_name=shown_name)


def _ranking(result: Evaluation) -> list[tuple[str, Metrics]]:
    """Return the agent and its baselines with their names, the most accurate first."""
    rows: list[tuple[str, Metrics]] = [("this agent", result), *result.baselines.items()]
    return sorted(rows, key=lambda row: -row[1].accuracy)


def _shown(gallery: Gallery) -> list[tuple[Group, list[tuple[Embedded, str]]]]:
    """Return the groups with their pictures embedded, and their captions."""
    return [
        (group, [(embedded_picture(p.png, p.caption), p.caption) for p in pictures])
        for group, pictures in zip(gallery.groups, gallery.pictures, strict=True)
    ]


def _example(gallery: Gallery) -> tuple[str, tuple[Embedded, str]] | None:
    """Return an episode to begin with, and by which rule it was chosen; None without any.

    One that a further glimpse helped shows the most, then one with many glimpses.
    """
    pairs = list(zip(gallery.groups, gallery.pictures, strict=True))
    pairs.sort(key=lambda pair: (pair[0].title != HELPED, pair[0].title != MOST))
    for group, (picture, *_) in pairs[:1]:
        return group.rule, (embedded_picture(picture.png, picture.caption), picture.caption)
    return None
