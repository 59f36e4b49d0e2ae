"""Scipion's workflow templates get cryowatch's monitors, and nothing else in them changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.commands.test_commands import Said, run

TEMPLATE: list[dict[str, Any]] = [
    {"object.className": "ProtImportMovies", "object.id": "2", "object.label": "import", "filesPath": "/data"},
    {
        "object.className": "ProtMonitorSummary", "object.id": "77", "object.label": "summary", "_useQueue": False,
        "inputProtocols": ["2"], "samplingInterval": 30, "monitorTime": 100.0, "maxDefocus": 3e4, "doInflux": True,
        "publishCmd": "rsync %(REPORT_FOLDER)s web:", "runMode": 0, "shoeSize": 44,
    },
    {"object.className": "ProtMonitor2dStreamer", "object.id": "80", "input2dProtocol": "77"},
]  # fmt: skip

__all__ = ["run"]


def test_the_class_changes_and_ids_links_and_values_stay(run: Callable[..., Said], tmp_path: Path) -> None:
    file, out = tmp_path / "a.json", tmp_path / "b.json"
    file.write_text(json.dumps(TEMPLATE, indent=4))
    said = run("scipion", "template", file, "--out", out)
    assert (said.code, said.out) == (0, "")
    assert json.loads(out.read_text()) == [
        TEMPLATE[0], {**TEMPLATE[1], "object.className": "CryowatchMonitorSummary"}, TEMPLATE[2]
    ]  # fmt: skip
    assert "ProtMonitorSummary becomes CryowatchMonitorSummary\n" in said.err
    assert "ProtMonitor2dStreamer stays" in said.err
    assert "summary: shoeSize has no place in the new form" in said.err
    assert "publishCmd" not in said.err
    assert file.read_text() == json.dumps(TEMPLATE, indent=4)


def test_every_byte_but_the_class_stays_also_of_what_is_no_json_yet(run: Callable[..., Said], tmp_path: Path) -> None:
    text = '[ {"object.className" : "ProtMonitorCTF",\r\n  "maxDefocus": ~Max defocus|40000|1~, "x": 1.50} ]'
    file = tmp_path / "a.json.template"
    file.write_bytes(text.encode())
    said = run("scipion", "template", file)
    assert said.out == text.replace("ProtMonitorCTF", "CryowatchMonitorCTF")
    assert "its parameters were not compared, as it is no JSON" in said.err


def test_nothing_is_written_over_unless_told(run: Callable[..., Said], tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(TEMPLATE))
    said = run("scipion", "template", file, "--out", file)
    assert said.code == 2
    assert "is there already. Choose another name, or add --force" in said.err
    assert "ProtMonitorSummary" in file.read_text()
    assert run("scipion", "template", file, "--out", file, "--force").code == 0
    assert "CryowatchMonitorSummary" in file.read_text()


def test_what_is_no_template_is_said_to_be_none(run: Callable[..., Said], tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("[]")
    said = run("scipion", "template", file)
    assert (said.code, said.out) == (2, "")
    assert "no box is in it" in said.err
    assert run("scipion", "template", tmp_path / "none.json").code == 2


def test_a_template_without_monitors_is_left_as_it_is(run: Callable[..., Said], tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(TEMPLATE[:1]))
    said = run("scipion", "template", file)
    assert (said.code, json.loads(said.out)) == (0, TEMPLATE[:1])
    assert "nothing is changed" in said.err
