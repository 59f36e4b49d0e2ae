"""Pin what cryowatch needs while it runs, and to be built, with the hashes of the packages: `make constraints`.

The newest versions that fit are written to constraints.txt, with the hashes of their wheels for Linux on x86-64 and
ARM and for each Python that is supported.  pip finds them where it is configured to look; no address is written.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
GLIBC = ("2_17", "2_28", "2_34")
BUILD = ("hatchling>=1.27",)
"""What `build_backend` builds with."""

HEAD = f"""# Made by `make constraints`: what cryowatch needs on Linux, Python {" ".join(PYTHONS)}, with hashes.
# pip install --require-hashes --requirement constraints.txt
# pip install --no-deps --no-build-isolation .
"""


def wanted() -> list[str]:
    """Return what pyproject.toml requires, with all extras, and what builds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (one for extra in project.get("optional-dependencies", {}).values() for one in extra)
    return [*project["dependencies"], *extras, *BUILD]


def name_of(text: str) -> str:
    """Return the name of a distribution as all of its spellings have it in common."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", text, maxsplit=1)[0]).lower()


def resolved(
    requirements: Iterable[str], *, python: str, machine: str, pinned: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Return version and hash (sha256) of each wheel that one Python on one kind of machine would install."""
    platforms = [f"--platform=manylinux_{version}_{machine}" for version in GLIBC]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{name}=={version}\n" for name, version in pinned.items())
        file.flush()
        command = [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run",
            "--ignore-installed", "--only-binary=:all:", f"--python-version={python}", "--implementation=cp",
            *platforms, f"--platform=manylinux2014_{machine}", "--target=unused", f"--constraint={file.name}",
            "--report=-", *requirements,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"constraints: Python {python} on {machine}: {done.stderr.strip().splitlines()[-1]}")
    found = {}
    for item in json.loads(done.stdout)["install"]:
        version = str(item["metadata"]["version"]).removeprefix("v")
        found[name_of(item["metadata"]["name"])] = (version, item["download_info"]["archive_info"]["hashes"]["sha256"])
    return found


def main() -> None:
    """Write constraints.txt."""
    requirements = wanted()
    pinned: dict[str, str] = {}
    hashes: dict[str, set[str]] = {}
    for python in PYTHONS:
        for machine in MACHINES:
            for name, (version, digest) in resolved(
                requirements, python=python, machine=machine, pinned=pinned
            ).items():
                pinned[name] = version
                hashes.setdefault(name, set()).add(digest)
    lines = [
        " \\\n    ".join([f"{name}=={pinned[name]}", *(f"--hash=sha256:{digest}" for digest in sorted(hashes[name]))])
        for name in sorted(pinned)
    ]
    FILE.write_text(f"{HEAD}{chr(10).join(lines)}\n", encoding="utf-8")
    print(f"{FILE.name}: {len(pinned)} packages, {sum(map(len, hashes.values()))} wheels")


if __name__ == "__main__":
    main()
