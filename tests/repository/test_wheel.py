"""What is handed on: a source distribution and a wheel, and cryowatch as the wheel installs it.

The environment is a fresh one that sees the packages beside cryowatch in the environment of the tests, so that they
need not be fetched again; that those are the declared ones is looked at by itself.
"""

from __future__ import annotations

import ast
import os
import re
import select
import signal
import site
import subprocess
import sys
import tarfile
import time
import zipfile
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import httpx2
import pytest

import cryowatch

ROOT = Path(__file__).parents[2]
SECONDS = 60
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both distributions."""
    folder = tmp_path_factory.mktemp("built")
    fetched = subprocess.run(
        [*PIP, "install", "--target", str(folder / "builder"), "hatchling>=1.27"], capture_output=True, check=False
    )
    if fetched.returncode != 0:
        pytest.skip("hatchling, which builds it, cannot be fetched")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(folder / "builder")}, capture_output=True, check=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The commands of an environment that the wheel was installed into."""
    environment = built / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (wheel,) = built.glob("*.whl")
    subprocess.run([*PIP, "--python", str(environment), "install", "--no-deps", str(wheel)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "beside.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return environment / "bin"


def said(command: Path, home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [command, *arguments], cwd=home, env={"PATH": os.environ["PATH"], "HOME": str(home)},
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_both_distributions_hold_what_they_need_and_no_more(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {
        "README.md",
        "LICENSE",
        "hatch_build.py",
        "npm_packages.py",
        "pyproject.toml",
        "tests/repository/test_wheel.py",
    } <= names
    assert not [name for name in names if "/vendor/" in name]
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    static = {
        str(file.relative_to(ROOT / "src")) for file in (ROOT / "src").rglob("*") if "__pycache__" not in file.parts
    }
    assert {name for name in static if (ROOT / "src" / name).is_file()} <= held
    assert not [name for name in held if name.startswith(("tests/", "docs/"))]


def test_an_installed_cryowatch_shows_the_demo_with_its_charts(installed: Path, tmp_path: Path) -> None:
    assert said(installed / "cryowatch", tmp_path, "--version") == f"cryowatch {cryowatch.__version__}\n"
    where = said(installed / "python", tmp_path, "-c", "import cryowatch; print(cryowatch.__file__)")
    assert where.startswith(str(installed.parent))
    assert "store" in said(installed / "cryowatch", tmp_path, "doctor")
    demo = subprocess.Popen(
        [installed / "cryowatch", "demo", "--micrographs=4", "--every=0.01", "--port=0", "--no-browser"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert demo.stdout is not None
    try:
        printed, end = "", time.monotonic() + SECONDS
        while (address := re.search(r"http://\S+:\d+", printed)) is None:
            assert time.monotonic() < end, printed
            assert demo.poll() is None, printed
            if select.select([demo.stdout], [], [], 0.1)[0]:
                printed += os.read(demo.stdout.fileno(), 4096).decode()
        with httpx2.Client(base_url=address[0], timeout=SECONDS, follow_redirects=True) as client:
            page = client.get("/")
            assert page.status_code == 200
            scripts = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
            assert scripts
            charts = re.findall(r'"(/[^"]*echarts[^"]*\.js)"', page.text) or ["/static/vendor/echarts.esm.min.js"]
            for name in (*scripts, *charts):
                assert client.get(name).status_code == 200, name
        demo.send_signal(signal.SIGINT)
        assert demo.wait(SECONDS) == 0
    finally:
        demo.kill()
        demo.wait(SECONDS)
        demo.stdout.close()


def declared() -> set[str]:
    """Return the distributions that installing cryowatch brings, in small letters with dashes."""
    found: set[str] = set()
    waiting = ["cryowatch"]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        try:
            needs = requires(name) or []
        except PackageNotFoundError:
            continue
        waiting += [re.split(r"[^\w.-]", need)[0] for need in needs if "extra ==" not in need]
    return found


def test_everything_that_is_imported_is_declared() -> None:
    imported: set[str] = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"cryowatch"}
    brought, of = declared(), packages_distributions()
    optional = {"apprise"}  # an extra
    missing = {
        name for name in foreign - optional
        if not {re.sub(r"[-_.]+", "-", one).lower() for one in of.get(name, [])} & brought
    }  # fmt: skip
    assert not missing


def test_an_older_python_is_told_how_to_get_a_newer_one() -> None:
    backend = (ROOT / "build_backend.py").read_text()
    older = f"import sys; sys.version_info = (3, 9, 16); exec({backend!r})"
    done = subprocess.run([sys.executable, "-c", older], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    first, *ways = done.stderr.splitlines()
    assert first == "cryowatch needs Python 3.11 or newer; this is 3.9."
    assert ["dnf install python3.11" in ways[0], "uv venv" in ways[1], "conda create" in ways[2]] == [True] * 3
