"""Pages whose tables are filled in between markers, and the plots beside them.

A marker is a line ``<!-- results:NAME -->``, the next ``<!-- /results -->`` ends its block. What
lies between is written anew; all else in a page is its author's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.results import markdown, plots, sensor_plot
from benchmarks.results.reading import Results, ResultsError
from glimpse_envs.files import replacing

#: files with blocks, below the root of the repository; one without markers stays as it is
PAGES = ("README.md", "docs/results.md", "docs/inverse.md")
IMAGES = Path("docs/images")
_BLOCK = re.compile(
    r"^<!-- results:(?P<name>[a-z-]+) -->\n.*?^(?P<end><!-- /results -->|<!-- results:)",
    re.MULTILINE | re.DOTALL,
)
_BEGIN = re.compile(r"^<!-- results:", re.MULTILINE)


def write(root: Path, results: Results) -> list[Path]:
    """Bring all pages and plots up to date.

    :param root: of the repository
    :return: the files that changed
    :raises ResultsError: for markers that are wrong
    """
    changed = []
    for page, text in _stale_pages(root, results).items():
        with replacing(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
        changed.append(page)
    drawn = plots.plotted(results)
    for data in _stale_plots(root, results):
        path = root / IMAGES / plots.file_name(data)
        changed.append(plots.draw(path, data, drawn[data]))
    if _sensors_stale(root, results):
        changed.append(sensor_plot.draw(root / IMAGES / sensor_plot.FILE, results))
    for path in _needless_plots(root, results):
        path.unlink()
        changed.append(path)
    return changed


def stale(root: Path, results: Results) -> list[Path]:
    """Return the files that are not what the tables say.

    :param root: of the repository
    :raises ResultsError: for markers that are wrong
    """
    images = [root / IMAGES / plots.file_name(data) for data in _stale_plots(root, results)]
    if _sensors_stale(root, results):
        images.append(root / IMAGES / sensor_plot.FILE)
    return [*_stale_pages(root, results), *images, *_needless_plots(root, results)]


def filled(text: str, results: Results, name: str, image_folder: str) -> str:
    """Return the text of a page with its blocks made anew.

    :param name: of the page, for messages
    :param image_folder: from the page, such as "images"
    :raises ResultsError: for a block that is not known, or has no end
    """
    blocks: dict[str, Callable[[Results], str]] = {
        **markdown.BLOCKS,
        "plots": partial(_images, folder=image_folder),
    }

    def made(match: re.Match[str]) -> str:
        block = match["name"]
        if block not in blocks:
            raise ResultsError(
                f"{name}: got the block {block!r}; wanted one of {', '.join(sorted(blocks))}"
            )
        if match["end"] != "<!-- /results -->":
            raise ResultsError(f"{name}: block {block!r} has no <!-- /results --> before the next")
        return f"<!-- results:{block} -->\n\n{blocks[block](results)}\n\n{match['end']}"

    new, n_found = _BLOCK.subn(made, text)
    if n_found != len(_BEGIN.findall(text)):
        raise ResultsError(
            f"{name}: got {len(_BEGIN.findall(text))} markers and {n_found} whole blocks; wanted a "
            "line <!-- results:NAME --> and a line <!-- /results --> for each"
        )
    return new


def _images(results: Results, folder: str) -> str:
    """Return all plots, one below the other."""
    return "\n\n".join(
        f"![{data}: accuracy against samples, of "
        f"{'; '.join(each.label for each in series)}]({folder}/{plots.file_name(data)})"
        for data, series in plots.plotted(results).items()
    )


def _stale_pages(root: Path, results: Results) -> dict[Path, str]:
    found = {}
    for name in PAGES:
        page = root / name
        try:
            text = page.read_text(encoding="utf-8")
        except OSError as error:
            raise ResultsError(f"{page} cannot be read ({error.strerror or error})") from error
        folder = (root / IMAGES).relative_to(page.parent).as_posix()
        new = filled(text, results, name, folder)
        if new != text:
            found[page] = new
    return found


def _stale_plots(root: Path, results: Results) -> list[str]:
    return [
        data
        for data, series in plots.plotted(results).items()
        if plots.drawn_digest(root / IMAGES / plots.file_name(data)) != plots.digest(data, series)
    ]


def _sensors_stale(root: Path, results: Results) -> bool:
    drawn = plots.drawn_digest(root / IMAGES / sensor_plot.FILE)
    return drawn != sensor_plot.digest(results)


def _needless_plots(root: Path, results: Results) -> list[Path]:
    wanted = {plots.file_name(data) for data in plots.plotted(results)}
    return [path for path in sorted((root / IMAGES).glob("results_*")) if path.name not in wanted]
