"""A run's result as one self-contained HTML file: no script, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from glimpse_envs.files import replacing
from glimpse_lab.report.facts import (
    changed_settings,
    facts,
    gaze_text,
    limits,
    robustness_rows,
)
from glimpse_lab.report.gallery import Gallery, Group
from glimpse_lab.report.wording import (
    FIGURES,
    NEEDED,
    SECTIONS,
    baseline_rows,
    headline,
    tiles,
)

MAX_BYTES = 5_000_000
_KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif"}


class Embedded(NamedTuple):
    """A picture in the page.

    :param uri: data URI
    """

    uri: str
    width: int
    height: int


def write_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    result: Mapping[str, Any],
    figures: Mapping[str, str | os.PathLike[str] | bytes] | None = None,
    gallery: Gallery | None = None,
    film: str | os.PathLike[str] | None = None,
    command: str | None = None,
) -> Path:
    """Write the page, which appears only when it is whole; return its path. What there is no data
    for is left out.

    :param path: of the file; missing folders are made
    :param title: of the page, such as the environment's id and the run's name
    :param result: what ``metrics.json`` holds. Beside that: a baseline's ``matched_budget``,
        ``note`` (one that begins with "oracle" stands out of competition) and ``reads``, shown
        below its name; ``gaze``, a dict with ``dependence`` (by glimpse ``gaze_bits``,
        ``class_bits`` and ``commonest_share``, and the numbers of paths) and ``collapse``
        (``collapsed``, ``share``, ``threshold``, ``n_fixations``); ``robustness``, as
        benchmarks/robustness.py writes it
    :param figures: PNG, JPEG or GIF files or their content, by a key of ``wording.FIGURES``
    :param gallery: of ``draw_gallery``
    :param film: an mp4 or gif; too large a one for the page is named instead
    :param command: that made the page
    :raises ValueError: a result without what every page tells, an unknown figure, a file that is
        no picture, or more than 5 MB of them
    """
    path, figures = Path(path), dict(figures or {})
    if missing := [key for key in NEEDED if key not in result]:
        raise ValueError(f"got a result without {missing}; wanted what metrics.json holds")
    if unknown := sorted(set(figures) - set(FIGURES)):
        raise ValueError(f"got figures {unknown}; wanted some of {list(FIGURES)}")
    content: dict[str, Any] = {
        "title": title,
        "result": result,
        "headline": headline(result),
        "tiles": tiles(result),
        "rows": baseline_rows(result),
        "gaze": gaze_text(result),
        "disturbed": robustness_rows(result),
        "figures": [
            (caption, _embedded(figures[key], key))
            for key, caption in FIGURES.items()
            if key in figures
        ],
        "gallery": None if gallery is None else gallery.rules,
        "groups": [] if gallery is None else _shown(gallery),
        "facts": facts(result, command),
        "settings": changed_settings(result),
        "limits": limits(result),
        "film": None,
        "film_beside": None,
        "headings": SECTIONS,
    }
    page = _render(content)
    if film is not None:
        film = Path(film)
        _check_film(film)
        # base64 writes three bytes as four letters
        if len(page.encode()) + 4 * film.stat().st_size // 3 + 1000 < MAX_BYTES:
            content["film"] = _film(film)
        else:
            content["film_beside"] = film.name
        page = _render(content)
    if len(page.encode()) > MAX_BYTES:
        raise ValueError(
            f"got pictures for a page of {len(page.encode()) / 1e6:.1f} MB; wanted at most "
            f"{MAX_BYTES / 1e6:.0f}: pass fewer or smaller ones"
        )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _render(content: Mapping[str, Any]) -> str:
    """Fill the template. What stands in a result comes from users: all of it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = {caption.section for caption, _ in content["figures"]}
    if content["rows"]:
        shown.add("baselines")
    if content["gaze"] or content["film"] or content["film_beside"]:
        shown.add("gaze")
    if content["disturbed"]:
        shown.add("fails")
    shown |= {"fails" if group.failures else "gaze" for group, _ in content["groups"]}
    shown.add("measured")
    sections = {name: heading for name, heading in SECTIONS.items() if name in shown}
    return environment.get_template("page.html").render(**content, sections=sections)


def _shown(gallery: Gallery) -> list[tuple[Group, list[tuple[Embedded, str]]]]:
    """Return the groups with their pictures embedded, and their captions."""
    return [
        (group, [(_embedded(p.png, p.caption), p.caption) for p in pictures])
        for group, pictures in zip(gallery.groups, gallery.pictures, strict=True)
    ]


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


def _check_film(film: Path) -> None:
    if film.suffix.lower() not in (".mp4", ".gif"):
        raise ValueError(f"got the film {film.name!r}; wanted one that ends in .mp4 or .gif")


def _film(film: Path) -> dict[str, Any]:
    """Return a film as the template wants it."""
    if film.suffix.lower() == ".gif":
        return {"video": None, "image": _embedded(film, film.name)}
    return {"video": _data_uri(film.read_bytes(), "video/mp4"), "image": None}


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
