"""Pages of the documentation, and the fenced blocks in them: commands to type, and files to write.

A block whose info string has a title is the content of the file that the title names.  A comment right above a block,
`<!-- not run: WHY -->`, says that no test can run it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SHELLS = ("bash", "console", "sh")

_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r'^(?P<margin> *)```(?P<language>\w*)(?: title="(?P<title>[^"\n]+)")?\n(?P<lines>.*?)^(?P=margin)```$',
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block of a page: its language and lines, the file that it belongs into, and why it is not run."""

    page: str
    language: str
    text: str
    title: str = ""
    reason: str = ""


def pages() -> list[str]:
    """Return the pages, as paths in the repository."""
    return ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """Return a page's fenced blocks, also those that are indented below a point of a list."""
    found = _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [
        Block(
            page,
            one["language"],
            "".join(line.removeprefix(one["margin"]) for line in one["lines"].splitlines(keepends=True)),
            one["title"] or "",
            one["reason"] or "",
        )
        for one in found
    ]


def commands(page: str) -> list[str]:
    """Return the commands of a page, without what is said of them behind a #."""
    lines = [line for block in blocks(page) if block.language in SHELLS for line in block.text.splitlines()]
    typed = [line.removeprefix("$ ") for line in lines]
    return [bare for line in typed if (bare := re.sub(r"(^|\s)#.*", "", line).strip())]
