"""The files that pages need: scripts, styles, signs.

A page names them below a mark of all their contents, `/static/<mark>/…`, where a browser keeps them for good: another
release has another mark.  Without it, or with that of another release, it asks again each time and gets what is there.
Scripts import each other by relative addresses, so the mark holds for all of them.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
KEPT = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"

_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
_MARKED = re.compile(r"([0-9a-f]{12})/(.+)", re.DOTALL)
_IMPORTED = re.compile(r'^import [^;]*?"(\./[^"]+)";', re.MULTILINE)


class Assets:
    """The files of a folder, and the addresses that pages know them by; where one changes, all get other addresses.

    They are read and compressed once, and then in memory.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._state: dict[str, tuple[int, int]] = {}
        self._mark = ""
        self._modules: dict[str, tuple[str, ...]] = {}
        self._contents: dict[tuple[str, str, bool], bytes] = {}

    def routes(self) -> list[Route]:
        """Return the route of the files."""
        return [Route("/static/{path:path}", self.file)]

    async def file(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.look()
        marked = _MARKED.fullmatch(path)
        name = marked[2] if marked else path
        if name not in self._state:
            raise HTTPException(404)
        mark = self._mark
        headers = {
            "Cache-Control": KEPT if marked and marked[1] == mark else ASKED_AGAIN,
            "ETag": f'"{mark}"',
            "Vary": "Accept-Encoding",
        }
        if f'"{mark}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        kind = _KINDS.get(PurePosixPath(name).suffix, "text/plain")
        packed = "gzip" in request.headers.get("accept-encoding", "")
        content = self._contents.get((mark, name, packed))
        if content is None:
            content = await anyio.to_thread.run_sync(self._read, mark, name, packed)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, media_type=kind)

    def _read(self, mark: str, name: str, packed: bool) -> bytes:  # noqa: FBT001  a thread takes no keywords
        plain = (self._folder / name).read_bytes()
        content = gzip.compress(plain) if packed else plain
        self._contents[mark, name, packed] = content
        return content

    def address(self, name: str) -> str:
        """Return where a page finds a file."""
        return f"/static/{self._mark}/{name}"

    def modules(self, script: str) -> list[str]:
        """Return where a page finds a script and all that it imports, the largest first: it takes longest to come.

        A browser that is told of them asks for all at once, and not for each when it has read what imports it.
        """
        if script not in self._modules:
            self._modules[script] = tuple(self._imported(script))
        return [f"/static/{self._mark}/{name}" for name in self._modules[script]]

    def look(self) -> None:
        """See whether any file is another than before; for whoever is about to name them, or to answer with one."""
        state = dict(_states(self._folder, ""))
        if state == self._state:
            return
        found = hashlib.sha256()
        for name in sorted(state):
            contents = (self._folder / name).read_bytes()
            found.update(f"{name}\0{len(contents)}\0".encode())
            found.update(contents)
        self._mark, self._modules, self._contents = found.hexdigest()[:12], {}, {}
        self._state = state

    def _imported(self, script: str) -> list[str]:
        found = {script}
        ahead = [script]
        while ahead:
            name = ahead.pop()
            beside = PurePosixPath(name).parent
            if beside.name == "vendor":
                continue
            text = (self._folder / name).read_text(encoding="utf-8")
            others = {str(beside / address) for address in _IMPORTED.findall(text)} - found
            found |= others
            ahead += others
        return sorted(found, key=lambda name: (-self._state[name][1], name))


def _states(folder: Path, within: str) -> Iterator[tuple[str, tuple[int, int]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{within}{entry.name}"
            if entry.is_dir():
                yield from _states(folder / entry.name, f"{name}/")
            else:
                status = entry.stat()
                yield name, (status.st_mtime_ns, status.st_size)
