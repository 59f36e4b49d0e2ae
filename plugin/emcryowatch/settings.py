"""A form's values as cryowatch's settings.

The parameters are those of scipion-em-facilities' monitors, with the same names, units and defaults.  Where the two
differ: alarm limits are the limits of cryowatch's rules, which look at the newest items and not at single ones; a limit
of 100 % or more switches a rule off, as it does there; and what the form does not watch is switched off.
"""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

Values = Mapping[str, Any]

SUMMARY, CTF, GAIN, SYSTEM = "summary", "ctf", "gain", "system"
MEASURES = {SUMMARY: (CTF, GAIN, SYSTEM), CTF: (CTF,), GAIN: (GAIN,), SYSTEM: (SYSTEM,)}
"""What each kind of monitor watches."""

_RULES = {
    CTF: ("defocus", "astigmatism"),
    GAIN: ("gain-stddev", "gain-ratio1", "gain-ratio2"),
    SYSTEM: ("cpu", "memory", "swap", "gpu-temperature", "disk", "disk-full", "disk-soon-full"),
    SUMMARY: (
        "import-stalled",
        "alignment-stalled",
        "ctf-stalled",
        "backlog",
        "motion",
        "resolution",
        "phase-shift",
        "fit-quality",
    ),
}  # fmt: skip
"""The agent's rules by who watches for them; those that are not here are for all."""

MAIL_SECURITY = ("default", "none", "starttls", "tls")
"""How the line to the mail server is protected; `default` is what a facility's settings say, and none without them."""
LONGEST_INTERVAL = 3600
REPORT_MINUTES = 5
_A_IN_UM = 10_000
_A_IN_NM = 10
_PERCENT_OFF = 100
_FOLDER = "%(REPORT_FOLDER)s"


class FormError(ValueError):
    """A value of the form makes no sense; the text says which and why."""


def tables(
    kind: str,
    values: Values,
    *,
    runs: Sequence[int],
    address: str,
    base: str = "",
    publisher: Sequence[str] = (),
    report_folder: str = "",
    interfaces: Callable[[], Sequence[str]],
) -> dict[str, Any]:
    """Return the settings for a form's values; raises `FormError`.

    `runs` are the ids of the runs that are watched, `address` that of the pages, `base` a facility's settings,
    `publisher` the program that hands a report over, `interfaces` names the machine's network interfaces.
    """
    interval = values["samplingInterval"]
    if not 1 <= interval <= LONGEST_INTERVAL:
        raise FormError(f"Sampling Interval must lie between 1 and {LONGEST_INTERVAL} s (it is {interval})")
    if not values["monitorTime"] > 0:
        raise FormError(f"Total Logging time must be above 0 min (it is {values['monitorTime']})")
    found: dict[str, Any] = {"base": base} if base else {}
    found["scipion"] = {"interval": interval, "runs": sorted(runs)}
    found["host"] = _host(kind, values, interfaces)
    found["web"] = {"listen": address}
    found["alerts"] = {"rules": _rules(kind, values)}
    if not values.get("doInflux"):
        found["influx"] = {"url": ""}
        found["images"] = {"publish": ""}
    found["mail"] = _mail(values, has_base=bool(base))
    if publisher:
        found["report"] = {"minutes": REPORT_MINUTES, "folder": report_folder, "command": list(publisher)}
    return found


def _host(kind: str, values: Values, interfaces: Callable[[], Sequence[str]]) -> dict[str, Any]:
    """Return what of the machine is sampled; monitors of CTF and gain take as few samples as can be."""
    if SYSTEM not in MEASURES[kind]:
        return {"interval": LONGEST_INTERVAL, "gpus": [], "interfaces": [], "disk_rates": False}
    return {
        "interval": values["samplingInterval"],
        "gpus": gpus(values["gpusToUse"]) if values["doGpu"] else [],
        "interfaces": [_interface(values["netInterfaces"], interfaces())] if values["doNetwork"] else [],
        "disk_rates": bool(values["doDiskIO"]),
    }


def gpus(text: str) -> list[int]:
    """Return the GPUs of a list such as `0 1 2` or `0,1,2`; raises `FormError`."""
    words = re.split(r"[\s,]+", text.strip())
    if not all(re.fullmatch(r"\d{1,4}", word) for word in words):
        raise FormError(f'Which GPUs to use: must be numbers like "0 1 2" (it is "{text}")')
    return sorted({int(word) for word in words})


def _interface(number: int, names: Sequence[str]) -> str:
    if not 0 <= number < len(names):
        raise FormError(f"Interface: this machine has none of number {number}, only {', '.join(names)}")
    return names[number]


def _rules(kind: str, values: Values) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    for part in (CTF, GAIN, SYSTEM, SUMMARY):
        if kind not in (part, SUMMARY):
            rules.update({name: {"enabled": False} for name in _RULES[part]})
    measures = MEASURES[kind]
    if CTF in measures:
        low, high = _number(values, "minDefocus"), _number(values, "maxDefocus")
        if low >= high:
            raise FormError(f"minimum defocus must be below maximum defocus (they are {low:g} and {high:g} Å)")
        rules["defocus"] = {"low": low / _A_IN_UM, "high": high / _A_IN_UM}
        rules["astigmatism"] = {"high": _number(values, "astigmatism") / _A_IN_NM}
    if GAIN in measures:
        for rule, name in (("stddev", "stddevValue"), ("ratio1", "ratio1Value"), ("ratio2", "ratio2Value")):
            rules[f"gain-{rule}"] = {"high": _number(values, name)}
    if SYSTEM in measures:
        for rule, name in (("cpu", "cpuAlert"), ("memory", "memAlert"), ("swap", "swapAlert")):
            limit = _number(values, name)
            rules[rule] = {"enabled": True, "high": limit} if limit < _PERCENT_OFF else {"enabled": False}
    return rules


def _number(values: Values, name: str) -> float:
    value = values[name]
    if value is None or not math.isfinite(value):
        raise FormError(f"{name} must be a number (it is {value})")
    return float(value)


def _mail(values: Values, *, has_base: bool) -> dict[str, Any]:
    if not values["doMail"]:
        return {"host": ""}
    host, _, port = (values["smtp"] or "").strip().partition(":")
    if not host or not re.fullmatch(r"\d{0,5}", port):
        raise FormError(f'SMTP Mail server: must be a name like smtp.example.org (it is "{values["smtp"]}")')
    sender = (values["emailFrom"] or "").strip()
    to = [address for address in re.split(r"[\s,;]+", values["emailTo"] or "") if address]
    for label, addresses in (("From", [sender]), ("To", to)):
        if not addresses or not all(re.fullmatch(r"[^@\s]+@[^@\s]+", address) for address in addresses):
            raise FormError(f"{label}: must be a mail address like someone@example.org")
    found: dict[str, Any] = {"host": host, "sender": sender, "to": to}
    security = values.get("mailSecurity") or 0
    if security or not has_base:
        found["security"] = MAIL_SECURITY[security or 1]
    return {**found, "port": int(port)} if port else found


def check_publish_command(command: str) -> None:
    """Raise `FormError` where a publish command cannot be filled in.

    The token is that of Scipion's summary monitor, `%(REPORT_FOLDER)s`, and `%%` stands for `%`.
    """
    if "%" in command.replace("%%", "").replace(_FOLDER, ""):
        raise FormError(f"Publish command: only {_FOLDER} can be filled in; write %% for a %: {command}")


def names_influx(base: str, environment: Mapping[str, str]) -> bool:
    """Return whether a facility's settings or the environment say where InfluxDB is: then secrets.cfg is not read."""
    if environment.get("CRYOWATCH_INFLUX__URL"):
        return True
    try:
        text = Path(base).read_text(encoding="utf-8", errors="replace") if base else ""
    except OSError:
        return False
    return re.search(r"^\s*(\[\s*influx\s*\]|influx\s*[.=])", text, re.MULTILINE) is not None


def data_dir(extra: Path, project: Path, run: int, environment: str) -> Path:
    """Return the folder of a run's store: in its own `extra`, or below the facility's folder for them.

    Two projects of one name in two places have two folders.
    """
    if not environment:
        return extra / "cryowatch"
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", project.name)
    return Path(environment).expanduser().absolute() / f"{plain}-{zlib.crc32(str(project).encode()):08x}-{run}"
