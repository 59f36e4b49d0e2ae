"""The page *Set up a facility in 30 minutes* is followed from top to bottom, and leads to what it promises.

The machine is one of its own (tests/setup/machine.py): real accounts, influxd, sshd, a mail server, and cryowatch's
service as its unit says.  Packages are there from the beginning, and a stand-in reads what Grafana would read.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cryowatch.dashboards.standard import STANDARD
from cryowatch.system import certificates
from tests.setup.machine import MICROGRAPHS, Outcome
from tests.support.docs import ROOT, SHELLS, blocks

PAGE = "docs/setup.md"
pytestmark = pytest.mark.timeout(900)

SKIPPED = [
    "opens a shell",
    "the packages of Ubuntu",
    "the packages of Rocky",
    "tests/repository/test_wheel.py installs what is built",
    "SELinux of Rocky",
    "the firewall of Rocky",
    "the packages of Ubuntu",
    "the packages of Rocky",
    "the packages of Grafana",
    "the packages of Grafana",
    "SELinux of Rocky",
]
"""What no test runs, in the order of the page."""


def test_every_command_of_the_page_runs_as_it_is_written(outcome: Outcome) -> None:
    typed = [
        line for one in blocks(PAGE) if one.language in SHELLS and not one.reason for line in one.text.splitlines()
    ]
    assert [command for command, _ in outcome.run] == typed
    assert len(typed) > 50


def test_what_is_not_run_is_named_on_the_page(outcome: Outcome) -> None:
    assert [reason for _, reason in outcome.skipped] == SKIPPED


def test_the_pages_are_under_tls_and_show_sessions_to_accounts_alone(outcome: Outcome) -> None:
    assert outcome.found["stranger"] == 401
    assert outcome.found["sessions"] == ["my-session"]


def test_grafana_finds_dashboards_data_and_a_password_for_its_administrator(outcome: Outcome) -> None:
    grafana = outcome.found["grafana"]
    assert grafana["micrographs"] == MICROGRAPHS
    assert len(grafana["dashboards"]) == len(STANDARD)
    assert len(grafana["admin"]) == 24


def test_images_are_published_to_an_account_made_as_the_page_says_and_grafana_can_serve_them(outcome: Outcome) -> None:
    status, received, size = outcome.found["image"]
    assert (status, received) == (200, size)
    assert "Images can be published there." in outcome.said("sudo -Hu scipion cryowatch images check")


def test_mail_arrives(outcome: Outcome) -> None:
    assert len(outcome.found["mails"]) >= 1


def test_doctor_finds_nothing_wrong_in_the_end(outcome: Outcome) -> None:
    said = outcome.said("sudo -Hu scipion cryowatch doctor")
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in said.splitlines()]
    assert len(lines) > 15
    assert {line[:5].strip() for line in lines} <= {"ok", "look", "-"}
    assert [line[5:28].strip() for line in lines if line.startswith("look")] in ([], ["clock"]), "of this machine"


def test_secrets_belong_to_who_reads_them_as_the_table_of_the_page_says(outcome: Outcome) -> None:
    owners = outcome.found["owners"]
    for path, expected in {
        "/etc/cryowatch/scipion_writer.password": "scipion:root 0600",
        "/etc/cryowatch/mail.password": "scipion:root 0600",
        "/etc/cryowatch/images_key": "scipion:root 0600",
        "/etc/cryowatch/server-key.pem": "scipion:root 0600",
        "/etc/ssl/influxdb/server-key.pem": "influxdb:root 0600",
        "/etc/grafana/tls/server-key.pem": "root:grafana 0640",
        "/etc/grafana/secrets/scipion_reader.password": "root:grafana 0640",
        "/etc/grafana/secrets/grafana_admin.password": "root:grafana 0640",
        "/var/lib/cryowatch": "scipion:scipion 0750",
        "~/cryowatch": "root:root 0700",
    }.items():
        assert owners[path] == expected, path
    assert "~/cryowatch/tls/ca-key.pem" not in owners


def test_the_page_and_tls_create_put_certificates_at_the_same_places(tmp_path: Path) -> None:
    printed = certificates.placement(certificates.create(tmp_path / "tls", ["cryo.example.org"])).replace(
        f"{tmp_path}/", ""
    )
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    placed = re.findall(r"^  (install .+)$", printed, re.MULTILINE)
    assert len(placed) == 9
    assert [command for command in placed if command not in page.splitlines()] == []
    for line in certificates.INFLUX_ENVIRONMENT.splitlines():
        assert line in page
