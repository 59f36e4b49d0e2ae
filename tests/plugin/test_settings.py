"""A form's values become settings that the agent accepts, and mean there what they mean in Scipion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cryowatch.alerts.rules import STANDARD, Rule, rules_of
from cryowatch.settings.config import Settings, load
from emcryowatch import publish, settings
from emcryowatch.toml import written

FORM: dict[str, Any] = {
    "samplingInterval": 60, "monitorTime": 34560, "stddevValue": 0.04, "ratio1Value": 1.15, "ratio2Value": 4.5,
    "maxDefocus": 40000, "minDefocus": 1000, "astigmatism": 1000, "cpuAlert": 101, "memAlert": 101, "swapAlert": 101,
    "doGpu": False, "gpusToUse": "0", "doNetwork": False, "netInterfaces": 1, "doDiskIO": False, "doMail": False,
    "emailFrom": "from@from.fakeadress.com", "emailTo": "to@to.fakeadress.com", "smtp": "smtp.fakeadress.com",
    "mailSecurity": 0, "doInflux": False, "publishCmd": "",
}  # fmt: skip
"""The summary monitor's form as it opens."""


def loaded(
    folder: Path, kind: str = "summary", base: str = "", publisher: tuple[str, ...] = (), **form: Any
) -> Settings:
    """Return what the agent makes of a form."""
    found = settings.tables(
        kind, {**FORM, **form}, runs=[67, 2], address="127.0.0.1:0", base=base, publisher=publisher,
        report_folder=str(folder), interfaces=lambda: ["lo", "eth0", "ib0"],
    )  # fmt: skip
    file = folder / "cryowatch.toml"
    file.write_text(written(found))
    return load(file, environment={})


def rules(found: Settings) -> dict[str, Rule]:
    return {rule.name: rule for rule in rules_of(found.alerts.rules, file=Path("x"))}


def test_a_form_as_it_opens_is_the_rules_as_they_are_but_for_the_machine(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert (found.scipion.interval, found.scipion.runs, found.host.interval) == (60, [2, 67], 60)
    assert (found.host.gpus, found.host.interfaces, found.host.disk_rates) == ([], [], False)
    assert (found.influx.url, found.mail.host, found.report.minutes) == ("", "", 0)
    standard = {rule.name: rule for rule in STANDARD}
    differing = {name for name, rule in rules(found).items() if rule != standard[name]}
    assert differing == {"memory", "swap"}
    assert not any(rules(found)[name].enabled for name in ("cpu", "memory", "swap"))


def test_limits_are_in_the_units_of_the_rules(tmp_path: Path) -> None:
    found = rules(loaded(tmp_path, minDefocus=5000, maxDefocus=32000, astigmatism=800, ratio1Value=1.3, cpuAlert=90))
    assert (found["defocus"].low, found["defocus"].high) == (0.5, 3.2)
    assert (found["astigmatism"].high, found["gain-ratio1"].high) == (80, 1.3)
    assert (found["cpu"].enabled, found["cpu"].high, found["memory"].enabled) == (True, 90, False)


@pytest.mark.parametrize(
    ("kind", "watched"),
    [
        ("ctf", {"defocus", "astigmatism"}),
        ("gain", {"gain-stddev", "gain-ratio1", "gain-ratio2"}),
        ("system", {"cpu", "memory", "swap", "gpu-temperature", "disk", "disk-full", "disk-soon-full"}),
    ],
)
def test_a_monitor_of_one_thing_raises_no_other_alarms(tmp_path: Path, kind: str, watched: set[str]) -> None:
    found = rules(loaded(tmp_path, kind, cpuAlert=90, memAlert=80, swapAlert=70))
    about_all = {"run-failed", "unreadable", "undelivered"}
    assert {name for name, rule in found.items() if rule.enabled} - about_all == watched


def test_every_rule_of_the_agent_is_somebodys(tmp_path: Path) -> None:
    known = {name for names in settings._RULES.values() for name in names}
    assert known | {"run-failed", "unreadable", "undelivered"} == {rule.name for rule in STANDARD}


def test_devices_are_those_of_the_form(tmp_path: Path) -> None:
    found = loaded(tmp_path, doGpu=True, gpusToUse="3 0,1", doNetwork=True, netInterfaces=2, doDiskIO=True)
    assert (found.host.gpus, found.host.interfaces, found.host.disk_rates) == ([0, 1, 3], ["ib0"], True)


def test_mail_goes_as_the_form_says(tmp_path: Path) -> None:
    to = "one@example.org, two@example.org"
    found = loaded(tmp_path, doMail=True, smtp="mail.example.org:2525", emailTo=to, emailFrom="box@example.org").mail
    assert (found.host, found.port, found.security, found.sender) == (
        "mail.example.org",
        2525,
        "none",
        "box@example.org",
    )
    assert found.to == ["one@example.org", "two@example.org"]


def test_a_facilitys_settings_count_where_the_form_says_nothing(tmp_path: Path) -> None:
    base = tmp_path / "facility.toml"
    base.write_text(
        '[facility]\nname = "Krios"\n[influx]\nurl = "https://x.example.org:8086"\n[mail]\nsecurity = "tls"\n'
    )
    found = loaded(tmp_path, base=str(base), doMail=True)
    assert (found.facility.name, found.mail.security, found.influx.url) == ("Krios", "tls", "")
    assert loaded(tmp_path, base=str(base), doMail=True, mailSecurity=2).mail.security == "starttls"
    assert loaded(tmp_path, base=str(base), doInflux=True).influx.url == "https://x.example.org:8086"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"minDefocus": 50000}, "minimum defocus must be below maximum defocus"),
        ({"samplingInterval": 0}, "Sampling Interval must lie between 1 and 3600 s"),
        ({"monitorTime": 0}, "Total Logging time must be above 0 min"),
        ({"doGpu": True, "gpusToUse": "all"}, 'must be numbers like "0 1 2"'),
        ({"doNetwork": True, "netInterfaces": 3}, "has none of number 3, only lo, eth0, ib0"),
        ({"doMail": True, "emailTo": "nobody"}, "To: must be a mail address"),
        ({"doMail": True, "smtp": ""}, "SMTP Mail server: must be a name"),
    ],
)
def test_a_value_that_makes_no_sense_is_said_to(tmp_path: Path, form: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.FormError, match=said):
        loaded(tmp_path, **form)


def test_texts_of_any_kind_come_through(tmp_path: Path) -> None:
    odd = 'a "b" \\ \x7f ü\t☃'
    (tmp_path / "odd.toml").write_text(written({"facility": {"name": odd}, "limits": {"a b": 1.5}}))
    found = load(tmp_path / "odd.toml", environment={})
    assert (found.facility.name, found.limits) == (odd, {"a b": 1.5})


def test_a_publish_command_is_read_by_a_shell_with_the_folder_in_it(tmp_path: Path) -> None:
    command = tmp_path / "command.txt"
    command.write_text("cp -r %(REPORT_FOLDER)s '%(REPORT_FOLDER)s copied' && echo 100%% done")
    report = tmp_path / "session"
    report.mkdir()
    found = loaded(tmp_path, publisher=(sys.executable, publish.__file__, "{folder}", str(command)))
    arguments = [word.format(folder=report) for word in found.report.command]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == "100% done\n"
    assert (tmp_path / "session copied").is_dir()


@pytest.mark.parametrize("command", ["rsync %(FOLDER)s", "echo 100%", "%s"])
def test_a_publish_command_that_cannot_be_filled_in_is_refused(command: str) -> None:
    with pytest.raises(settings.FormError, match="only %"):
        settings.check_publish_command(command)


@pytest.mark.parametrize(
    ("text", "environment", "named"),
    [
        ('[influx]\nurl = "x"\n', {}, True),
        ('influx.url = "x"\n', {}, True),
        ('# [influx]\n[mail]\nhost = "[influx]"\n', {}, False),
        ("", {"CRYOWATCH_INFLUX__URL": "x"}, True),
    ],
)
def test_whether_a_facility_says_where_influxdb_is(
    tmp_path: Path, text: str, environment: dict[str, str], named: object
) -> None:
    (tmp_path / "facility.toml").write_text(text)
    assert settings.names_influx(str(tmp_path / "facility.toml"), environment) is named
    assert not settings.names_influx(str(tmp_path / "none.toml"), {})
