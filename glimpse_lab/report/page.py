"""A run's result as one self-contained HTML file: no script, nothing fetched from anywhere.

What the page says stands in the templates beside this file, ``page.html`` first; numbers are
written by the filters of ``formats``.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from glimpse_envs.files import replacing
from glimpse_envs.metrics.episodes import Metrics
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.report.formats import FILTERS
from glimpse_lab.report.gallery import HELPED, MOST, Gallery, Group
from glimpse_lab.report.names import shown_name
from glimpse_lab.report.verdict import choose_rival, verdict

MAX_BYTES = 5_000_000
_KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif"}


class Embedded(NamedTuple):
    """A picture in the page.

    :param uri: data URI
    """

    uri: str
    width: int
    height: int


class Film(NamedTuple):
    """A film in the page: one of the two.

    :param video: data URI of an mp4
    :param image: a gif
    """

    video: str | None
    image: Embedded | None


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
    embedded = {name: _embedded(figure, name) for name, figure in (figures or {}).items()}
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
        page = _render(content | _with_film(Path(film), MAX_BYTES - len(page.encode())))
    if len(page.encode()) > MAX_BYTES:
        raise ValueError(
            f"got pictures for a page of {len(page.encode()) / 1e6:.1f} MB; wanted at most "
            f"{MAX_BYTES / 1e6:.0f}: pass fewer or smaller ones"
        )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return path


def _render(content: Mapping[str, Any]) -> str:
    """Fill the templates. What stands in a result comes from users: all of it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**FILTERS, "shown_name": shown_name}
    return environment.get_template("page.html").render(**content)


def _ranking(result: Evaluation) -> list[tuple[str, Metrics]]:
    """Return the agent and its baselines with their names, the most accurate first."""
    rows: list[tuple[str, Metrics]] = [("this agent", result), *result.baselines.items()]
    return sorted(rows, key=lambda row: -row[1].accuracy)


def _shown(gallery: Gallery) -> list[tuple[Group, list[tuple[Embedded, str]]]]:
    """Return the groups with their pictures embedded, and their captions."""
    return [
        (group, [(_embedded(p.png, p.caption), p.caption) for p in pictures])
        for group, pictures in zip(gallery.groups, gallery.pictures, strict=True)
    ]


def _example(gallery: Gallery) -> tuple[str, tuple[Embedded, str]] | None:
    """Return an episode to begin with, and by which rule it was chosen; None without any.

    One that a further glimpse helped shows the most, then one with many glimpses.
    """
    pairs = list(zip(gallery.groups, gallery.pictures, strict=True))
    pairs.sort(key=lambda pair: (pair[0].title != HELPED, pair[0].title != MOST))
    for group, (picture, *_) in pairs[:1]:
        return group.rule, (_embedded(picture.png, picture.caption), picture.caption)
    return None


def _embedded(picture: str | os.PathLike[str] | bytes, name: str) -> Embedded:
    data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as opened:
            kind, (width, height) = _KINDS.get(opened.format or ""), opened.size
    except OSError as error:
        raise ValueError(f"{name!r} is no picture: {error}") from error
    if kind is None:
        raise ValueError(f"got {name!r} as {opened.format}; wanted one of {sorted(_KINDS)}")
    return Embedded(_data_uri(data, kind), width, height)


def _with_film(file: Path, room: int) -> dict[str, Any]:
    """Return what the templates want of a film: it itself, or its name where it is too large.

    :param room: bytes that are left in the page
    """
    suffix = file.suffix.lower()
    if suffix not in (".mp4", ".gif"):
        raise ValueError(f"got the film {file.name!r}; wanted one that ends in .mp4 or .gif")
    # base64 writes three bytes as four letters
    if 4 * file.stat().st_size // 3 + 1000 >= room:
        return {"film_beside": file.name}
    if suffix == ".gif":
        return {"film": Film(None, _embedded(file, file.name))}
    return {"film": Film(_data_uri(file.read_bytes(), "video/mp4"), None)}


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
