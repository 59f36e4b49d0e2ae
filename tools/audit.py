"""Look for known vulnerabilities in what cryowatch needs while it runs: `make audit`.

Those are the distributions that an installed cryowatch requires, also with its extras, in the versions of this
environment (pip-audit, with PyPI's data), and Apache ECharts in the version that the pages draw with (npm audit).
Exit code 0 where nothing is known, 1 where something is, and 2 where that could not be found out.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

NOTHING, SOMETHING, UNKNOWN = 0, 1, 2
SECONDS = 300
ECHARTS = Path(__file__).parent.parent / "src/cryowatch/web/static/vendor/echarts.json"


def required(name: str, extras: frozenset[str]) -> dict[str, str]:
    """Return the version of each distribution that one requires with some extras, and of what these require."""
    found: dict[str, str] = {}
    waiting = [(name, extras)]
    seen = set()
    while waiting:
        one, wanted = waiting.pop()
        key = re.sub(r"[-_.]+", "-", one).lower()
        if (key, wanted) in seen:
            continue
        seen.add((key, wanted))
        try:
            installed = distribution(one)
        except PackageNotFoundError:
            continue  # for another system or Python
        found[key] = installed.version
        for text in installed.requires or ():
            needed = Requirement(text)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (wanted or {""})):
                waiting.append((needed.name, frozenset(needed.extras)))
    return {key: version for key, version in found.items() if key != name}


def python(versions: dict[str, str], *service: str) -> int:
    """Ask a service about distributions, by options of pip-audit's or PyPI, and print what is known."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{name}=={version}\n" for name, version in versions.items())
        file.flush()
        asked = [sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--disable-pip", "--no-deps",
                 "--format=json", f"--requirement={file.name}", *service]  # fmt: skip
        done = subprocess.run(asked, capture_output=True, text=True, timeout=SECONDS, check=False)
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"Python: not audited, the service for vulnerabilities cannot be asked: {reason[:200]}")
        return UNKNOWN
    known = [(one["name"], one["version"], said) for one in answers for said in one.get("vulns", ())]
    for name, version, said in known:
        print(
            f"Python: {name} {version}: {said['id']}, mended in {', '.join(said['fix_versions']) or 'no version yet'}"
        )
    skipped = [one["name"] for one in answers if "skip_reason" in one]
    if skipped:
        listed = ", ".join(sorted(skipped)) if len(skipped) < len(answers) else "all"
        reason = next(one["skip_reason"] for one in answers if "skip_reason" in one)
        print(f"Python: not audited: {listed}. The service says, for one: {' '.join(reason.split())[:200]}")
    print(f"Python: {len(answers) - len(skipped)} of {len(versions)} audited, {len(known)} known vulnerabilities")
    return SOMETHING if known else UNKNOWN if skipped else NOTHING


def echarts(version: str, *options: str) -> int:
    """Ask npm, with some options, about Apache ECharts and what it needs, and print what is known."""
    if shutil.which("npm") is None:
        print("ECharts: not audited, there is no npm")
        return UNKNOWN
    with tempfile.TemporaryDirectory() as folder:
        package = {"name": "audited", "version": "1.0.0", "private": True, "dependencies": {"echarts": version}}
        (Path(folder) / "package.json").write_text(json.dumps(package))
        answer, said = "", ""
        for asked in (("install", "--package-lock-only", "--ignore-scripts", "--no-audit"), ("audit", "--json")):
            command = ["npm", *asked, *options]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
            answer, said = done.stdout, said or next((line for line in done.stderr.splitlines() if line.strip()), "")
    try:
        found = json.loads(answer)["vulnerabilities"]
    except (ValueError, KeyError):
        print(f"ECharts {version}: not audited, npm's service for vulnerabilities cannot be asked: {said[:200]}")
        return UNKNOWN
    known = {(name, one["title"], one["url"]) for name, two in found.items() for one in two["via"] if "title" in one}
    for name, title, url in sorted(known):
        print(f"ECharts: {name}: {title}, see {url}")
    print(f"ECharts {version}: {len(found)} of it and what it needs have known vulnerabilities")
    return SOMETHING if found else NOTHING


def main() -> int:
    found = {
        python(required("cryowatch", frozenset({"", "apprise"}))),
        echarts(json.loads(ECHARTS.read_text())["package"].rpartition("@")[2]),
    }
    return SOMETHING if SOMETHING in found else UNKNOWN if UNKNOWN in found else NOTHING


if __name__ == "__main__":
    sys.exit(main())
