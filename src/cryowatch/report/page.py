"""A report as one HTML file: the pages' own modules and styles, put into it, and a policy that lets it load nothing.

Modules cannot import each other by path in a file, so each becomes a `data:` address in an import map, under a name
that its importers ask for.  Two of them stand in for the live pages' (`STANDING_IN`): whoever imports `api.js` here
gets the answers that the file holds.  Inline scripts and styles are allowed by their hashes alone.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from cryowatch import __version__

GENERATOR = "cryowatch report"
ENTRY = "report/static/report.js"
THEME = "web/static/theme.js"
STANDING_IN = {
    "web/static/api.js": "report/static/answers.js",
    "web/static/picture.js": "report/static/picture.js",
}
STYLES = ("web/static/base.css", "web/static/panels.css", "web/static/gallery.css", "report/static/report.css")

_IMPORT = re.compile(r"""((?:^|[;}\s])(?:import|export)\b[^"'`;()]*?)(["'])(\.{1,2}/[^"']+)\2""")


def generator() -> str:
    """Return what a report says of its maker."""
    return f"{GENERATOR} {__version__}"


def render(
    *,
    session: str,
    made: int,
    content: Mapping[str, Any],
    pictures: bytes,
    left_out: list[str],
    facility: str = "",
    logo: tuple[str, bytes] | None = None,
) -> bytes:
    """Return the file; `made` in UTC ms, `pictures` as JSON, `logo` as its media type and what it holds."""
    style = _style()
    modules = _modules()
    start = f'import "{_name(THEME)}"; import "{_name(ENTRY)}";'
    mark = _text("web/static/favicon.svg")
    policy = (
        f"default-src 'none'; script-src {_hash(modules)} {_hash(start)} data:; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    text: str = _template().render(
        generator=generator(),
        version=__version__,
        policy=policy,
        made=made,
        session=session,
        facility=facility,
        logo=_address(*logo) if logo else "",
        icon=_address("image/svg+xml", mark.encode()),
        mark=Markup(mark.replace("<svg ", '<svg class="mark" aria-hidden="true" ', 1)),  # noqa: S704  our own file
        style=Markup(style),  # noqa: S704  our own files
        modules=Markup(modules),  # noqa: S704  JSON, escaped
        start=Markup(start),  # noqa: S704  our own words
        left_out=left_out,
        content=Markup(inert(content).decode()),  # noqa: S704  JSON, escaped
        pictures="\0",
    )
    before, after = text.encode().split(b"\0")
    return before + pictures + after


def inert(value: Any) -> bytes:
    """Return JSON that no HTML parser takes for markup, whatever its texts say."""
    text: bytes = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    for character, escaped in _DANGEROUS.items():
        text = text.replace(character, escaped)
    return text


_DANGEROUS = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\N{LINE SEPARATOR}".encode(): b"\\u2028",
    "\N{PARAGRAPH SEPARATOR}".encode(): b"\\u2029",
}


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("cryowatch.report"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _text(path: str) -> str:
    return (files("cryowatch") / path).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _address(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


@cache
def _style() -> str:
    return "\n".join(_text(path) for path in STYLES)


@cache
def _modules() -> str:
    """Return the import map of all modules that the report needs."""
    addresses: dict[str, str] = {}
    wanted = [THEME, ENTRY]
    while wanted:
        path = wanted.pop()
        if _name(path) in addresses:
            continue
        text, imported = _renamed(path, _text(path))
        addresses[_name(path)] = _module_address(f"{text}\n//# sourceURL={_name(path)}\n")
        wanted += imported
    return inert({"imports": addresses}).decode()


def _name(path: str) -> str:
    return f"cryowatch/{path}"


def _renamed(path: str, text: str) -> tuple[str, list[str]]:
    """Return a module with the names of what it imports in place of paths, and the paths."""
    imported = []

    def name(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[3]))
        if STANDING_IN.get(target, path) != path:
            target = STANDING_IN[target]
        imported.append(target)
        return f'{found[1]}"{_name(target)}"'

    return _IMPORT.sub(name, text), imported


def _module_address(text: str) -> str:
    """Return a module as an address, with no more escaped than a parser of addresses would lose."""
    for character in "%#\n\r\t":
        text = text.replace(character, f"%{ord(character):02X}")
    return f"data:text/javascript;charset=utf-8,{text}"
