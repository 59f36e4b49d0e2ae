"""Rules are data: a facility changes them, and a slip is refused with file and key."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cryowatch.alerts.rules import STANDARD, About, Rule, rules_of
from cryowatch.errors import ConfigError
from cryowatch.records import Severity
from tests.support.projects import genuine

FILE = Path("/etc/cryowatch.toml")


def chosen(text: str) -> dict[str, Rule]:
    tables: dict[str, Any] = tomllib.loads(text).get("alerts", {}).get("rules", {})
    return {rule.name: rule for rule in rules_of(tables, file=FILE)}


def test_standard_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in STANDARD}) == len(STANDARD)


def test_a_facility_changes_a_rule() -> None:
    rule = chosen("""
        [alerts.rules.defocus]
        high = 3.2
        window = 10
        severity = "critical"
        sessions = ["2026*", "krios-*"]
    """)["defocus"]
    assert (rule.low, rule.high, rule.window, rule.severity) == (0.1, 3.2, 10, Severity.CRITICAL)
    assert rule.concerns("krios-7")
    assert rule.concerns("20261124_x")
    assert not rule.concerns("glacios")


def test_a_facility_switches_rules_on_and_off() -> None:
    rules = chosen("[alerts.rules.cpu]\nenabled = true\n[alerts.rules.motion]\nenabled = false\n")
    assert rules["cpu"].enabled
    assert not rules["motion"].enabled


def test_a_facility_adds_a_rule() -> None:
    rule = chosen("""
        [alerts.rules.early-motion]
        about = "micrograph"
        field = "motion_early"
        high = 5
    """)["early-motion"]
    assert (rule.about, rule.field, rule.high, rule.title) == (About.MICROGRAPH, "motion_early", 5, "Early motion")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[alerts.rules.defocsu]\nhigh = 3", r"alerts\.rules\.defocsu: there is no such rule\. Did you mean defocus\?"),
        ("[alerts.rules.x]\nabout = 'micrograph'\nfield = 'defocsu'\nhigh = 1", r"\.rules\.x\.field: .*defocus\?"),
        ("[alerts.rules.x]\nabout = 'micrograf'\nfield = 'defocus'", r"alerts\.rules\.x\.about: .*micrograph\?"),
        ("[alerts.rules.x]\nabout = 'micrograph'\nhigh = 1", r"alerts\.rules\.x: the rule names no field"),
        ("[alerts.rules.x]\nabout = 'micrograph'\nfield = 'defocus'", r"alerts\.rules\.x: the rule has no limit"),
        ("[alerts.rules.x]\nabout = 'micrograph'\nfield = 'name'\nhigh = 1", r"there is no field of a micrograph name"),
        ("[alerts.rules.defocus]\nlow = 5", r"alerts\.rules\.defocus: low must be below high \(they are 5 and 4\.0\)"),
        ("[alerts.rules.defocus]\nhihg = 5", r"alerts\.rules\.defocus\.hihg: is not a setting\. Did you mean high\?"),
        ("[alerts.rules.defocus]\nseverity = 'bad'", r"alerts\.rules\.defocus\.severity: there is no severity bad"),
        ("[alerts.rules.defocus]\nenabled = 0", r"alerts\.rules\.defocus\.enabled: must be true or false"),
        ("[alerts.rules.defocus]\nhigh = 'four'", r"alerts\.rules\.defocus\.high: must be a number"),
        ("[alerts.rules.defocus]\nwindow = 0", r"alerts\.rules\.defocus\.window: must lie between 1 and 1000"),
        ("[alerts.rules.defocus]\nshare = 0.7", r"calm_share must not be below share"),
        ("[alerts.rules.defocus]\nsessions = 'all'", r"alerts\.rules\.defocus\.sessions: must be"),
        ("[alerts.rules.defocus]\nsessions = []", r"alerts\.rules\.defocus\.sessions: must be .* at least one"),
        ("[alerts.rules.defocus]\nhigh = nan", r"alerts\.rules\.defocus\.high: must be a finite number \(it is nan\)"),
        ("[alerts.rules.defocus]\nlow = -inf", r"alerts\.rules\.defocus\.low: must be a finite number"),
        ("[alerts.rules.disk]\nrelative = true", r"\.disk\.relative: changes nothing in a rule about a filesystem"),
        ("[alerts.rules.disk]\nminutes = 9", r"\.disk\.minutes: changes nothing in a rule about a filesystem"),
        ("[alerts.rules.disk]\nsessions = ['a']", r"\.disk\.sessions: changes nothing in a rule about a filesystem"),
        ("[alerts.rules.memory]\nwindow = 9", r"\.memory\.window: changes nothing in a rule about a host"),
        ("[alerts.rules.run-failed]\nhigh = 9", r"\.run-failed\.high: changes nothing in a rule about a run"),
        ("[alerts.rules.x]\nabout = 'gpu'\nfield = 'used'\nhigh = 1", r"there is no field of a gpu used"),
        ("[alerts.rules]\ndefocus = 4", r"alerts\.rules\.defocus: is not a table"),
    ],
)  # fmt: skip
def test_a_slip_is_refused_with_file_and_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{FILE}: .*{said}") as caught:
        chosen(text)
    assert "\n" not in str(caught.value)


def test_two_rules_of_one_name_are_no_toml() -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match="Cannot declare"):
        chosen("[alerts.rules.defocus]\nhigh = 3\n[alerts.rules.defocus]\nhigh = 4\n")


def test_the_rules_in_force_are_printed(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[alerts.rules.defocus]\nhigh = 3.2\n[alerts.rules.motion]\nenabled = false\n")
    command = [sys.executable, "-m", "cryowatch", "alerts", "rules", "--config", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = {line.split()[0]: line for line in said.splitlines()}
    assert set(lines) == {"Rule", *(rule.name for rule in STANDARD)}
    assert "Defocus: fewer than 25 % of the last 25 micrographs within 0.10–3.20 µm" in lines["defocus"]
    assert "Disk full in 4 h or less" in lines["disk-soon-full"]
    assert "GPU temperature 90 °C or more, on average over 5 min" in lines["gpu-temperature"]
    assert "switched off" in lines["motion"]
    assert "above 0.5 of the session's median" in lines["fit-quality"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[alerts.rules.early]\nabout = 'micrograph'\nfield = 'motoin_early'\nhigh = 5",
            r"alerts\.rules\.early\.field: there is no field of a micrograph motoin_early\. Did you mean motion_early",
        ),
        ("[alerts.rules.defocus]\nlow = 5\nhigh = 1", r"alerts\.rules\.defocus: low must be below high .*5 and 1"),
        (
            "[alerts.rules.defocus]\nhigh = 3\n[alerts.rules.defocus]\nhigh = 4",
            r"alerts\.rules\.defocus: there are two such tables \(at line 3, column \d+\)",
        ),
    ],
)
def test_no_agent_starts_with_a_rule_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    project = genuine(tmp_path)
    data = tmp_path / "data"
    start: list[str | Path] = [sys.executable, "-m", "cryowatch", "watch", project, "--no-web"]
    command = [*start, "--config", file, "--data-dir", data]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert re.search(f"{re.escape(str(file))}: .*{said}", line)
