"""Pages that are one file: templates filled, pictures and a film inside, nothing fetched."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from glimpse_envs.files import replacing
from glimpse_lab.report.formats import FILTERS

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


def render(
    template: str,
    content: Mapping[str, Any],
    *,
    folders: Sequence[Path] = (),
    **filters: Callable[..., Any],
) -> str:
    """Fill a template. What stands in a result comes from users: all of it is escaped.

    :param template: name of its file, beside this one or in one of the folders
    :param content: by the names that the template has
    :param folders: that are searched first
    :param filters: beside those of ``formats``
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**FILTERS, **filters}
    return environment.get_template(template).render(**content)


def write_html(path: Path, page: str) -> Path:
    """Write a page, which appears only when it is whole; return its path.

    :param path: of the file; missing folders are made
    :raises ValueError: for more than 5 MB
    """
    if len(page.encode()) > MAX_BYTES:
        raise ValueError(
            f"got pictures for a page of {len(page.encode()) / 1e6:.1f} MB; wanted at most "
            f"{MAX_BYTES / 1e6:.0f}: pass fewer or smaller ones"
        )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return path


def embedded_picture(picture: str | os.PathLike[str] | bytes, name: str) -> Embedded:
    """Return a picture as it stands in a page.

    :param picture: a PNG, JPEG or GIF file, or its content
    :param name: for messages
    :raises ValueError: for a file that is no picture
    """
    data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as opened:
            kind, (width, height) = _KINDS.get(opened.format or ""), opened.size
    except OSError as error:
        raise ValueError(f"{name!r} is no picture: {error}") from error
    if kind is None:
        raise ValueError(f"got {name!r} as {opened.format}; wanted one of {sorted(_KINDS)}")
    return Embedded(_data_uri(data, kind), width, height)


def with_film(file: Path, room: int) -> dict[str, Any]:
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
        return {"film": Film(None, embedded_picture(file, file.name))}
    return {"film": Film(_data_uri(file.read_bytes(), "video/mp4"), None)}


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
