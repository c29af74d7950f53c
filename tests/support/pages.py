"""The documentation's pages and the code in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from scripts import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))


class Block(NamedTuple):
    """Code on a page.

    :param page: path below the top folder
    :param line: of the page, where it begins
    :param code: its text
    """

    page: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Return the fenced blocks of a language, of all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start(1)) + 1
            found.append(Block(str(page.relative_to(ROOT)), line, match[1]))
    return found


def commands() -> list[tuple[Block, str]]:
    """Return the command lines of all ``bash`` blocks, comments left out."""
    lines = []
    for block in blocks("bash"):
        for line in block.code.replace("\\\n", " ").splitlines():
            words = re.sub(r"\s+#\s.*", "", line)
            lines += [(block, part.strip()) for part in words.split("&&") if part.strip()]
    return lines


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as links give them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.M)
    words = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in headings)
    return {re.sub(r"[-\s]+", "-", title) for title in words}
