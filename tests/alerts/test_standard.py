"""Every standard rule that compares a value: what lies inside is told to nobody, what lies outside is, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cryowatch.alerts.rules import MEASURED, STANDARD
from cryowatch.records import DeviceSample, GainResidual, HostSample
from tests.alerts.facility import HOST, Facility

QUALITY: tuple[tuple[str, dict[str, Any], dict[str, Any], str], ...] = (
    ("defocus", {"defocus_u": 41_000.0, "defocus_v": 40_000.0}, {"defocus_u": 40_000.0, "defocus_v": 39_000.0},
     "Defocus: none of the last 25 micrographs within 0.10–4.00 µm (median 4.05 µm)"),
    ("defocus", {"defocus_u": 900.0, "defocus_v": 900.0}, {"defocus_u": 1_100.0, "defocus_v": 1_100.0},
     "Defocus: none of the last 25 micrographs within 0.10–4.00 µm (median 0.09 µm)"),
    ("astigmatism", {"defocus_u": 12_100.0, "defocus_v": 11_000.0}, {"defocus_u": 12_000.0, "defocus_v": 11_100.0},
     "Astigmatism: none of the last 25 micrographs below 100.0 nm (median 110.0 nm)"),
    ("resolution", {"resolution": 6.1}, {"resolution": 5.9},
     "CTF resolution: none of the last 25 micrographs below 6.00 Å (median 6.10 Å)"),
    ("phase-shift", {"phase_shift": 181.0}, {"phase_shift": 90.0},
     "Phase shift: none of the last 25 micrographs within 0.0–180.0° (median 181.0°)"),
    ("motion", {"motion_total": 21.0}, {"motion_total": 19.0},
     "Motion: none of the last 25 micrographs below 20.0 Å (median 21.0 Å)"),
)  # fmt: skip
GAIN = (
    (
        "gain-stddev",
        {"stddev": 0.041},
        "Standard deviation of the gain residual: none of the last 5 movies below 0.040",
    ),
    ("gain-ratio1", {"ratio1": 1.16}, "p97.5 / p2.5 of the gain residual: none of the last 5 movies below 1.150"),
    ("gain-ratio2", {"ratio2": 4.6}, "max / p97.5 of the gain residual: none of the last 5 movies below 4.500"),
)
MACHINE = (
    ("cpu", {"cpu": 96.0}, "CPU: 96.0 %, should be below 95.0 %"),
    ("memory", {"memory": 96.0}, "Memory: 96.0 %, should be below 95.0 %"),
    ("swap", {"swap": 81.0}, "Swap: 81.0 %, should be below 80.0 %"),
)


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[Facility]:
    made = Facility(tmp_path)
    made.use([replace(rule, enabled=True) for rule in STANDARD if rule.about in MEASURED])
    yield made
    made.store.close()


def last_text(facility: Facility) -> str:
    return str(facility.alerts()[-1]["text"])


@pytest.mark.parametrize(("rule", "bad", "good", "text"), QUALITY)
def test_quality(facility: Facility, rule: str, bad: dict[str, Any], good: dict[str, Any], text: str) -> None:
    told: list[tuple[str, str]] = []
    for values, expected in ((good, []), (bad, [("raised", rule)]), (good, [("raised", rule), ("over", rule)])):
        facility.bring("135", 25, **values)
        facility.commit()
        facility.look(1)
        told = facility.look(6)
        assert told == expected
        if values is bad:
            assert last_text(facility) == text


@pytest.mark.parametrize(("rule", "bad", "text"), GAIN)
def test_gain(facility: Facility, rule: str, bad: dict[str, float], text: str) -> None:
    facility.bring("135", 1)
    number = 0
    for values, expected in (({}, []), (bad, [("raised", rule)]), ({}, [("raised", rule), ("over", rule)])):
        found = []
        for _ in range(5):
            number += 1
            measured = {"stddev": 0.039, "ratio1": 1.14, "ratio2": 4.4, **values}
            found.append(
                GainResidual(run="135", item=number, movie=f"m{number}", time=facility.now + number, **measured)
            )
        facility.commit(gains=tuple(found))
        facility.look(1)
        assert facility.look(6) == expected
        if values:
            assert last_text(facility).startswith(text)


@pytest.mark.parametrize(("rule", "bad", "text"), MACHINE)
def test_machine(facility: Facility, rule: str, bad: dict[str, Any], text: str) -> None:
    told: list[tuple[str, str]] = []
    for values, expected in (({}, []), (bad, [("raised", rule)]), ({}, [("raised", rule), ("over", rule)])):
        for _ in range(90):
            well = HostSample(host=HOST, time=facility.now, cpu=60.0, memory=60.0, swap=10.0)
            facility.store.add_host_sample(replace(well, **values))
            told = facility.look(1)
        assert told == expected
        if values:
            assert last_text(facility) == text


def test_a_gpu_that_is_too_hot(facility: Facility) -> None:
    told: list[tuple[str, str]] = []
    for temperature in (80.0, 92.0, 80.0):
        for _ in range(15):
            gpus = tuple(
                DeviceSample(kind="gpu", device=name, temperature=value)
                for name, value in (("0", 70.0), ("1", temperature))
            )
            facility.store.add_host_sample(HostSample(host=HOST, time=facility.now, devices=gpus))
            told = facility.look(1)
    assert told == [("raised", "gpu-temperature"), ("over", "gpu-temperature")]
    (alert,) = facility.alerts()
    assert (alert["subject"], alert["text"]) == ("1", "GPU temperature 1: 92 °C, should be below 90 °C")
