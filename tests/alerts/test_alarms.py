"""When alerts are raised and over: windows and hysteresis, clocks, sessions that end, what people said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cryowatch.alerts.rules import STANDARD, Rule, rules_of
from cryowatch.reading import Reading
from cryowatch.records import DeviceSample, GainResidual, HostSample, OutputKind, Session
from tests.alerts.facility import HOST, MINUTE, Facility
from tests.support.records import START, micrograph, output, run, span


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[Facility]:
    made = Facility(tmp_path)
    yield made
    made.store.close()


def only(*names: str, **values: Any) -> list[Rule]:
    return [replace(rule, **values) for rule in STANDARD if rule.name in names]


def test_one_bad_micrograph_is_no_alarm(facility: Facility) -> None:
    facility.bring("135", 24)
    facility.bring("135", 1, defocus_u=90_000.0, defocus_v=90_000.0)
    facility.commit()
    assert facility.look() == []


def test_too_few_micrographs_say_nothing(facility: Facility) -> None:
    facility.bring("135", 24, defocus_u=90_000.0, defocus_v=90_000.0)
    facility.commit()
    assert facility.look() == []


def test_a_window_without_fits_is_told_as_such(facility: Facility) -> None:
    facility.use(only("defocus"))
    facility.bring("135", 30, defocus_u=None, defocus_v=None, resolution=None)
    facility.commit()
    assert facility.look() == [("raised", "defocus")]
    assert "Defocus: none of the last 25 micrographs within 0.10–4.00 µm (no fit)" in facility.alerts()[0]["text"]


def test_what_is_not_measured_is_no_alarm(facility: Facility) -> None:
    facility.bring("135", 30, phase_shift=None, motion_total=None, fit_quality=None)
    facility.commit()
    assert facility.look() == []


def test_what_is_measured_from_later_on_is_an_alarm_at_once(facility: Facility) -> None:
    facility.use(only("phase-shift"))
    facility.bring("135", 30, phase_shift=None)
    facility.commit()
    assert facility.look() == facility.look(1) == []
    facility.bring("135", 25, phase_shift=181.0)
    facility.commit()
    assert facility.look() == [("raised", "phase-shift")]


def test_fit_quality_is_compared_with_the_sessions_own_median(facility: Facility) -> None:
    facility.use(only("fit-quality"))
    facility.bring("135", 200, fit_quality=0.02)
    facility.commit()
    assert facility.look() == [], "low, but as always in this session"
    facility.bring("135", 25, fit_quality=0.009)
    facility.commit()
    assert facility.look(1) == [("raised", "fit-quality")]


def test_gain_residuals_raise_an_alarm(facility: Facility) -> None:
    facility.use(only("gain-stddev", "gain-ratio1"))
    gains = tuple(
        GainResidual(run="135", item=n, movie=f"m{n}", time=START + n, stddev=0.06, ratio1=1.05, ratio2=2.0)
        for n in range(1, 6)
    )
    facility.commit(gains=gains)
    facility.bring("135", 1)
    facility.commit()
    assert facility.look() == [("raised", "gain-stddev")]


def test_values_that_flap_for_an_hour_are_one_message_and_one_recovery(facility: Facility) -> None:
    facility.use(only("memory"))
    for step in range(360):
        high = step % 12 < 9
        facility.store.add_host_sample(HostSample(host=HOST, time=facility.now, memory=99.0 if high else 90.0))
        facility.look(10 / 60)
    for _ in range(120):
        facility.store.add_host_sample(HostSample(host=HOST, time=facility.now, memory=40.0))
        told = facility.look(10 / 60)
    assert told == [("raised", "memory"), ("over", "memory")]


def test_micrographs_that_flap_are_one_message_and_one_recovery(facility: Facility) -> None:
    facility.use(only("astigmatism"))
    for step in range(120):
        bad = step % 5 != 0
        facility.bring("135", 1, defocus_u=15_000.0, defocus_v=13_000.0 if bad else 14_900.0)
        facility.commit()
        facility.look(0.5)
    for _ in range(30):
        facility.bring("135", 1, defocus_u=15_000.0, defocus_v=14_900.0)
        facility.commit()
        told = facility.look(0.5)
    assert told == [("raised", "astigmatism"), ("over", "astigmatism")]


def test_the_stage_at_fault_is_named_and_no_other(facility: Facility) -> None:
    for _ in range(40):
        facility.bring("2", 1)
        facility.look(0.5)
    facility.bring("67", 40)
    facility.bring("135", 40)
    for _ in range(40):
        facility.bring("2", 1)
        facility.commit()
        told = facility.look(0.5)
    assert told == [("raised", "alignment-stalled")]
    assert facility.alerts()[0]["text"] == "Motion correction stalled: 40 movies waiting, import still running"


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (0, "Nothing new from the microscope: motion correction and CTF estimation have caught up"),
        (10, "Import stalled, although newer files are there: motion correction and CTF estimation have caught up"),
        (None, "Import stalled: motion correction and CTF estimation have caught up"),
    ],
)
def test_the_microscope_and_the_import_are_told_apart(facility: Facility, later: int | None, said: str) -> None:
    facility.runs[0] = run("2", label="import movies", files="/frames/*.tiff")
    for stage in ("2", "67", "135"):
        facility.bring(stage, 10)
    facility.commit()
    if later is not None:
        facility.incoming["/frames/*.tiff"] = facility.now + later * MINUTE
    assert facility.look(16) == [("raised", "import-stalled")]
    assert facility.alerts()[0]["text"] == said


IMPORT = run("2", label="import movies", class_name="ProtImportMovies", files="/frames/*.tiff")
ALIGNMENT = run("67", label="alignment", class_name="ProtMotionCorr")
CTF = run("135", label="ctffind4", class_name="CistemProtCTFFind")


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("later", [-60, 5])
def test_an_import_that_never_brought_anything_has_stalled(facility: Facility, *, empty: bool, later: int) -> None:
    facility.empty = empty
    facility.runs = [IMPORT, replace(CTF, status="launched", started=None)]
    facility.incoming["/frames/*.tiff"] = facility.now + later * MINUTE
    facility.commit()
    assert facility.look(14) == []
    assert facility.look(2) == [("raised", "import-stalled")]
    files = ", although files are there" if later > 0 else ""
    assert facility.alerts()[0]["text"] == f"Import has produced nothing since it started{files}"
    facility.bring("2", 3)
    facility.commit()
    facility.look(1)
    assert facility.look(6) == [("raised", "import-stalled"), ("over", "import-stalled")]


@pytest.mark.parametrize(
    ("stage", "name", "said"),
    [
        ("67", "alignment-stalled", "Motion correction has produced nothing since it started: 40 movies waiting"),
        ("135", "ctf-stalled", "CTF estimation has produced nothing since it started: 40 micrographs waiting"),
    ],
)
def test_a_stage_that_never_brought_anything_has_stalled(facility: Facility, stage: str, name: str, said: str) -> None:
    facility.empty = False
    facility.runs = [IMPORT, ALIGNMENT, CTF]
    told: list[tuple[str, str]] = []
    for minute in range(20):
        facility.bring("2", 2)
        if stage != "67":
            facility.bring("67", 2)
        facility.commit()
        told = facility.look(1)
        assert told == [] or minute >= 8
    assert told == [("raised", name)]


def test_a_run_that_waits_in_the_queue_has_not_stalled(facility: Facility) -> None:
    facility.runs = [replace(IMPORT, status="launched", started=None)]
    facility.empty = False
    facility.commit()
    assert facility.look(120) == []


def test_a_project_of_last_week_in_which_a_run_was_just_started_is_watched(facility: Facility) -> None:
    facility.created = facility.now - 7 * 24 * 60 * MINUTE
    facility.runs = [IMPORT]
    facility.empty = False
    facility.commit()
    assert facility.look(16) == [("raised", "import-stalled")]


def test_a_session_still_being_read_has_no_stalls(facility: Facility) -> None:
    facility.bring("2", 5)
    facility.commit()
    facility.read_at = None
    assert facility.look(60) == []


def test_what_stopped_days_ago_is_nobodys_alarm(facility: Facility) -> None:
    facility.bring("2", 5)
    facility.runs[1] = run("67", status="failed", error="gone", ended=START)
    facility.commit()
    assert facility.look(60 * 48) == []


def test_a_pause_that_ends_is_no_stall_of_the_next_stage(facility: Facility) -> None:
    facility.use(only("ctf-stalled", "alignment-stalled"))
    for stage in ("2", "67", "135"):
        facility.bring(stage, 10)
    facility.commit()
    facility.look(40)
    facility.bring("2", 6)
    facility.bring("67", 5)
    facility.commit()
    assert facility.look() == []


def test_items_that_were_dropped_for_good_are_no_stall(facility: Facility) -> None:
    facility.bring("2", 20)
    facility.look(0.1)
    facility.bring("67", 15)
    facility.look(0.1)
    facility.bring("135", 11)
    facility.commit()
    assert [rule for _, rule in facility.look(30)] == ["import-stalled"]


def test_a_growing_backlog_is_told(facility: Facility) -> None:
    facility.use(only("backlog"))
    for _ in range(90):
        facility.bring("2", 4)
        facility.bring("67", 2)
        facility.commit()
        told = facility.look(0.5)
    assert told == [("raised", "backlog")]
    assert "waiting for motion correction" in facility.alerts()[0]["text"]


def test_many_movies_imported_at_once_are_no_growing_backlog(facility: Facility) -> None:
    facility.use(only("backlog"))
    facility.bring("2", 400)
    for _ in range(90):
        facility.bring("67", 2)
        facility.commit()
        told = facility.look(0.5)
    assert told == []


def test_when_the_session_ends_its_alarms_do(facility: Facility) -> None:
    facility.use(only("import-stalled"))
    facility.bring("2", 5)
    facility.commit()
    facility.look(20)
    facility.status = "finished"
    facility.commit()
    assert facility.look(1) == [("raised", "import-stalled"), ("over", "import-stalled")]


def test_a_failed_run_is_told_also_as_the_last_one(facility: Facility) -> None:
    facility.bring("2", 5)
    facility.runs[2] = run("135", label="ctffind4", status="failed", error="a\nno GPU\n", ended=START)
    facility.status = "finished"
    facility.commit()
    assert facility.look() == [("raised", "run-failed")]
    assert facility.alerts()[0]["text"] == "ctffind4 has failed: no GPU"
    facility.runs[2] = run("135", label="ctffind4")
    facility.status = "running"
    facility.commit()
    facility.look(1)
    assert facility.look(6) == [("raised", "run-failed"), ("over", "run-failed")]


def test_very_many_failed_runs_are_a_few_alerts_and_a_count(facility: Facility) -> None:
    facility.use(only("run-failed"))
    failed = [
        run(str(n), label=f"n{n}", status="failed", error="e " * 3_000, ended=START + n) for n in range(1003, 1503)
    ]
    facility.runs += failed
    facility.commit()
    assert facility.look().count(("raised", "run-failed")) == 21
    texts = {alert["subject"]: alert["text"] for alert in facility.alerts()}
    assert texts.pop("others") == "480 more runs have failed"
    assert sorted(texts, key=int) == [str(n) for n in range(1483, 1503)]
    facility.runs += [run("1600", label="later", status="failed", ended=START + 1600)]
    facility.commit()
    facility.look(1)
    facility.look(6)
    lasting = {alert["subject"]: alert["text"] for alert in facility.alerts() if alert["until"] is None}
    assert lasting.pop("others") == "481 more runs have failed"
    assert sorted(lasting, key=int) == [*[str(n) for n in range(1484, 1503)], "1600"]


def test_an_unreadable_source_is_told_after_some_minutes(facility: Facility) -> None:
    facility.use(only("unreadable"))
    facility.bring("2", 5)
    facility.commit()
    facility.store.note(facility.key, state="denied", text="ctfs.sqlite: may not be read", last_read=facility.now)
    assert facility.look(1) == []
    assert facility.look(5) == [("raised", "unreadable")]
    facility.store.note(facility.key, state="ok", text="", last_read=facility.now)
    facility.look(1)
    assert facility.look(5) == [("raised", "unreadable"), ("over", "unreadable")]


def test_a_source_that_could_never_be_read_is_told_too(facility: Facility) -> None:
    facility.use(only("unreadable"))
    facility.read_at = None
    facility.store.note(facility.key, state="malformed", text="project.sqlite: is no database", last_read=None)
    assert facility.look(60) == [], "an old one, which nobody touches"
    facility.unread = facility.now
    assert facility.look(4) == []
    assert facility.look(2) == [("raised", "unreadable")]
    assert facility.alerts()[0]["text"] == "Cannot be read: project.sqlite: is no database"
    facility.unread = None
    facility.use(only("unreadable"))
    assert facility.look(1) == [("raised", "unreadable")], "not tried again yet"
    facility.unread = facility.now
    assert facility.look(10) == [("raised", "unreadable")]
    facility.unread = None
    facility.store.note(facility.key, state="ok", text="", last_read=facility.now)
    facility.bring("2", 1)
    facility.commit()
    facility.look(1)
    assert facility.look(6) == [("raised", "unreadable"), ("over", "unreadable")]


def test_a_sink_in_trouble_is_told(facility: Facility) -> None:
    where = "influx cryowatch http://db:8086"
    for minute in range(12):
        facility.store.advance(where, 3, now=facility.now, problem="cannot be reached")
        told = facility.look(1)
        assert told == [] or minute >= 9
    assert told == [("raised", "undelivered")]
    facility.store.advance(where, 3, now=facility.now)
    facility.look(0)
    facility.store.advance(where, 3, now=facility.now + 6 * MINUTE)
    assert facility.look(6) == [("raised", "undelivered"), ("over", "undelivered")]


def test_what_a_sink_missed_for_good_is_told(facility: Facility) -> None:
    where = "influx cryowatch http://db:8086"
    facility.store.add_host_sample(HostSample(host=HOST, time=facility.now))
    for _ in range(12):
        facility.store.advance(where, 0, now=facility.now, problem="cannot be reached")
        facility.look(1)
    facility.store.forget_host_samples(before=facility.now, now=facility.now, followers=[where])
    facility.store.advance(where, 0, now=facility.now, problem="cannot be reached")
    facility.look(2)
    ((text,),) = facility.store.reader().table("SELECT text FROM alert")[1]
    assert text == f"{where}: cannot be reached; 1 host samples were dropped before they could be delivered"


def test_each_disk_has_its_own_alarm(facility: Facility) -> None:
    def sample() -> None:
        disks = tuple(
            DeviceSample(kind="filesystem", device=d, used=used, free=1e9) for d, used in (("/a", 91.0), ("/b", 50.0))
        )
        facility.store.add_host_sample(HostSample(host=HOST, time=facility.now, devices=disks))

    sample()
    assert facility.look() == [("raised", "disk")]
    assert facility.alerts()[0]["subject"] == "/a"


def sample(facility: Facility, **values: Any) -> None:
    facility.store.add_host_sample(HostSample(host=HOST, time=facility.now, **values))


def disk(device: str = "/data", **values: Any) -> tuple[DeviceSample, ...]:
    return (DeviceSample(kind="filesystem", device=device, **values),)


def test_a_restart_after_a_while_neither_ends_nor_repeats_what_the_machine_suffers(facility: Facility) -> None:
    rules = only("memory", "disk")
    facility.use(rules)
    for _ in range(60):
        sample(facility, memory=99.0, devices=disk(used=93.0, free=1e9))
        told = facility.look(10 / 60)
    assert told == [("raised", "disk"), ("raised", "memory")]
    facility.now += 40 * MINUTE
    facility.use(rules)
    facility.look(0)
    sample(facility, memory=99.0, devices=disk("/other", used=5.0, free=1e9))
    facility.look(1 / 60)
    for _ in range(60):
        sample(facility, memory=99.0, devices=disk(used=93.0, free=1e9))
        told = facility.look(10 / 60)
    assert told == [("raised", "disk"), ("raised", "memory")]


def test_a_disk_that_does_not_answer_keeps_its_alert_and_one_that_is_unmounted_does_not(facility: Facility) -> None:
    facility.use(only("disk"))
    for _ in range(30):
        sample(facility, devices=disk(used=93.0, free=1e9))
        facility.look(10 / 60)
    for _ in range(60):
        sample(facility, devices=disk(note="has not answered for 5 min"))
        told = facility.look(10 / 60)
    assert told == [("raised", "disk")]
    for _ in range(30):
        sample(facility)
        told = facility.look(10 / 60)
    assert told == [("raised", "disk"), ("over", "disk")]


def test_a_disk_that_fills_up_is_one_story_and_the_worse_replaces_the_lesser(facility: Facility) -> None:
    def lasting() -> list[str]:
        return [alert["text"] for alert in facility.alerts() if alert["until"] is None]

    def fill(used: float, full_in: float | None, minutes: int = 1) -> list[str]:
        for _ in range(6 * minutes):
            sample(facility, devices=disk(used=used, free=1e9, full_in=full_in))
            facility.look(10 / 60)
        return lasting()

    assert fill(80.0, 86_401.0) == []
    assert fill(88.0, 13_800.0) == ["Disk /data: full in 3 h 50 min, should be above 4 h"]
    assert fill(93.0, 5_400.0) == ["Disk /data: full in 1 h 30 min, should be above 4 h"]
    assert fill(96.0, 1_080.0) == ["Disk /data: used 96.0 %, should be below 95.0 %; full in 18 min"]
    facility.use(STANDARD)
    assert fill(97.0, 50.0) == ["Disk /data: used 97.0 %, should be below 95.0 %; full in less than a minute"]
    story = [("raised", "disk-soon-full"), ("replaced", "disk-soon-full"), ("raised", "disk-full")]
    assert facility.notices() == story
    assert fill(90.2, None, minutes=6) == ["Disk /data: used 90.2 %, should be below 90.0 %"]
    assert fill(40.0, None, minutes=6) == []
    assert facility.notices() == [*story, ("raised", "disk"), ("over", "disk-full"), ("over", "disk")]


def test_a_disk_whose_values_flap_for_an_hour_is_one_story(facility: Facility) -> None:
    for minute in range(60):
        used, full_in = (94.5, 3.9 * 3600) if minute % 3 else (96.0, None)
        for _ in range(6):
            sample(facility, devices=disk(used=used, free=1e9, full_in=full_in))
            told = facility.look(10 / 60)
    assert told == [("raised", "disk-full")]
    for _ in range(60):
        sample(facility, devices=disk(used=40.0, free=1e9))
        told = facility.look(10 / 60)
    assert told == [("raised", "disk-full"), ("over", "disk-full")]


def test_a_disk_that_is_full_at_the_first_look_is_told_of_once(facility: Facility) -> None:
    for _ in range(12):
        sample(facility, devices=disk(used=99.0, free=1e9, full_in=60.0))
        told = facility.look(10 / 60)
    assert told == [("raised", "disk-full")]


def test_a_disk_that_no_longer_fills_up_is_told_so(facility: Facility) -> None:
    facility.use(only("disk-soon-full"))
    for _ in range(30):
        sample(facility, devices=disk(used=80.0, free=1e9, full_in=3600.0))
        facility.look(10 / 60)
    for _ in range(60):
        sample(facility, devices=disk(used=80.0, free=1e9))
        told = facility.look(10 / 60)
    assert told == [("raised", "disk-soon-full"), ("over", "disk-soon-full")]
    ((text,),) = facility.store.reader().table("SELECT text FROM notice WHERE event = 'over'")[1]
    assert text == "Disk /data: no longer filling up"


def test_a_host_that_is_sampled_rarely_is_judged_all_the_same(facility: Facility) -> None:
    facility.use(only("memory", "disk"), sampled=300)
    for _ in range(4):
        sample(facility, memory=99.0, devices=disk(used=93.0, free=1e9))
        told = facility.look(5)
    assert told == [("raised", "disk"), ("raised", "memory")]


def test_a_restart_does_not_take_a_sink_that_was_not_tried_yet_for_well(facility: Facility) -> None:
    rules, where = only("undelivered"), "notices mail"
    facility.use(rules)
    for _ in range(12):
        facility.store.advance(where, 3, now=facility.now, problem="cannot be reached")
        told = facility.look(1)
    assert told == [("raised", "undelivered")]
    facility.now += 30 * MINUTE
    facility.use(rules)
    facility.look(0)
    facility.store.advance(where, 3, now=facility.now)
    facility.look(0.1)
    for _ in range(12):
        facility.store.advance(where, 3, now=facility.now, problem="cannot be reached")
        told = facility.look(1)
    assert told == [("raised", "undelivered")]


@pytest.mark.parametrize(("defocus", "count"), [(41_000.0, 0), (41_001.0, 1), (999.0, 1), (1_000.0, 0)])
def test_a_value_on_a_limit_is_inside(facility: Facility, defocus: float, count: int) -> None:
    facility.use(only("defocus", high=4.1))
    facility.bring("135", 25, defocus_u=defocus, defocus_v=defocus)
    facility.commit()
    assert facility.look() == [("raised", "defocus")] * count


def test_a_window_that_has_to_be_bad_for_minutes_is_told_after_them(facility: Facility) -> None:
    facility.use(only("defocus", minutes=20))
    told = []
    for minute in range(60):
        facility.bring("135", 1, **({"defocus_u": 55_000.0, "defocus_v": 55_000.0} if minute < 50 else {}))
        facility.commit()
        told.append(bool(facility.look(1)))
    assert told.index(True) == 43, "the window was full after 24 min, and then bad for 20"


def test_an_alert_that_is_raised_while_muted_is_told_once_the_silence_is_over(facility: Facility) -> None:
    facility.use(only("import-stalled"))
    facility.bring("2", 5)
    facility.commit()
    facility.look(20)
    facility.store.ledger().mute(facility.alerts()[0]["id"], until=facility.now + 60 * MINUTE)
    facility.bring("2", 1)
    facility.commit()
    facility.look(0)
    facility.look(6)
    assert facility.look(20) == [("raised", "import-stalled")], "over and raised anew, and both in silence"
    facility.look(35)
    assert facility.look(1) == [("raised", "import-stalled")] * 2


def test_a_project_that_was_taken_away_is_nobodys_alarm_after_a_day(facility: Facility) -> None:
    facility.use(only("import-stalled", "unreadable"))
    facility.bring("2", 5)
    facility.commit()
    facility.look(20)
    facility.store.note(facility.key, state="gone", text="is not there", last_read=facility.now)
    facility.read_at = None
    assert facility.look(60) == [("raised", "import-stalled"), ("raised", "unreadable")]
    assert [event for event, _ in facility.look(24 * 60)] == ["raised", "raised", "over", "over"]


def test_a_clock_set_back_an_hour_repeats_nothing_and_ends_in_time(facility: Facility) -> None:
    facility.use(only("import-stalled"), repeat=30)
    facility.bring("2", 5)
    facility.commit()
    facility.look(20)
    facility.now -= 60 * MINUTE
    facility.commit()
    facility.look(0)
    told = [facility.look(1) for _ in range(10)][-1]
    assert told == [("raised", "import-stalled"), ("over", "import-stalled")]
    (alert,) = facility.alerts()
    assert alert["until"] >= alert["since"]


def test_a_lasting_alarm_is_repeated_until_somebody_sees_to_it(facility: Facility) -> None:
    facility.use(only("import-stalled"), repeat=60)
    facility.bring("2", 5)
    facility.commit()
    facility.look(20)
    facility.look(61)
    assert facility.look(30) == [("raised", "import-stalled"), ("repeated", "import-stalled")]
    facility.store.ledger().acknowledge(facility.alerts()[0]["id"], now=facility.now)
    assert len(facility.look(61)) == 2


def test_of_what_is_muted_nobody_is_told(facility: Facility) -> None:
    facility.use(only("import-stalled"))
    facility.bring("2", 5)
    facility.commit()
    facility.look(20)
    facility.store.ledger().mute(facility.alerts()[0]["id"], until=facility.now + 600 * MINUTE)
    for _ in range(3):
        facility.bring("2", 1)
        facility.commit()
        facility.look(1)
        facility.look(6)
        facility.look(20)
    assert facility.notices() == [("raised", "import-stalled")]
    assert len(facility.alerts()) > 1


def test_a_rule_that_is_taken_away_takes_its_alert_along(facility: Facility) -> None:
    facility.bring("2", 5)
    facility.commit()
    facility.look(20)
    facility.use(only("defocus"))
    facility.look(1)
    assert facility.alerts()[0]["until"] is not None


def test_pages_are_told_of_what_changed(facility: Facility) -> None:
    facility.bring("2", 5)
    facility.commit()
    facility.look(20)
    assert [change.key for change in facility.told] == ["alpha"]


def test_a_session_of_another_host_is_not_its_business(facility: Facility) -> None:
    other = facility.store.register(Session(name="beta", path="/projects/beta", host="gpu2"))
    found = Reading(
        cursor="1", session=Session(name="beta", path="/projects/beta", host="gpu2", status="running"),
        runs=(run(status="failed", ended=START),), outputs=(),
    )  # fmt: skip
    facility.store.commit(other.session, found, now=START)
    assert facility.look() == []


def test_what_a_consensus_discards_raises_nothing_and_is_no_stage_that_stopped(facility: Facility) -> None:
    none = {"defocus_u": None, "defocus_v": None, "resolution": None}
    facility.runs = [
        run("2", inputs=""), run("67", inputs="2.outputMovies"), run("135", inputs="67.outputMicrographs"),
    ]  # fmt: skip
    for stage in ("2", "67", "135"):
        facility.bring(stage, 40)
    facility.commit()
    consensus = run("200", class_name="XmippProtCTFConsensus", inputs="135.outputCTF")
    discarded = [micrograph(n, run="200", output="outputCTFDiscarded", time=START, **none) for n in range(1, 31)]
    facility.store.commit(
        facility.key,
        Reading(
            cursor="consensus",
            runs=(*facility.runs, consensus),
            outputs=(
                output("2", "outputMovies", kind=OutputKind.MOVIES, class_name="SetOfMovies"),
                output("67", "outputMicrographs", kind=OutputKind.MICROGRAPHS, class_name="SetOfMicrographs"),
                output(),
                output("200", "outputCTFDiscarded"),
            ),
            spans=(span(discarded, run="200", output="outputCTFDiscarded"),),
        ),
        now=facility.now,
    )
    assert facility.look(12) == []


@pytest.mark.parametrize("ahead", [3 * 60 * MINUTE, 3 * 365 * 24 * 60 * MINUTE])
def test_items_dated_in_the_future_do_not_hide_a_stall(facility: Facility, ahead: int) -> None:
    facility.use(only("import-stalled"))
    facility.bring("2", 5)
    facility.items["2"][-1] = replace(facility.items["2"][-1], time=facility.now + ahead)
    facility.commit()
    assert facility.look() == []
    for _ in range(4):
        facility.look(5)
    assert facility.notices() == [("raised", "import-stalled")]


def test_disabled_micrographs_are_no_alarm(facility: Facility) -> None:
    facility.use(only("defocus"))
    facility.bring("135", 25)
    facility.bring("135", 40, defocus_u=90_000.0, defocus_v=90_000.0, enabled=False)
    facility.commit()
    assert facility.look() == []


def test_a_window_says_how_many_of_it_have_no_fit(facility: Facility) -> None:
    facility.use(only("defocus"))
    facility.bring("135", 20, defocus_u=None, defocus_v=None)
    facility.bring("135", 5)
    facility.commit()
    assert facility.look() == [("raised", "defocus")]
    text = facility.alerts()[0]["text"]
    assert "only 5 of the last 25" in text
    assert text.endswith("(median 1.49 µm, 20 without a fit)")


def test_a_limit_that_is_a_multiple_of_the_median_is_in_the_unit_that_people_read(facility: Facility) -> None:
    rules = rules_of({"defocus": {"low": 0.5, "high": 1.5, "relative": True}}, file=Path("cryowatch.toml"))
    facility.use([rule for rule in rules if rule.name == "defocus"])
    facility.bring("135", 100)
    facility.commit()
    assert facility.look() == []
    facility.bring("135", 25, defocus_u=30_000.0, defocus_v=30_000.0)
    facility.commit()
    assert facility.look(1) == [("raised", "defocus")]


def test_an_alert_that_calms_down_says_what_holds_now_and_when_it_is_over_what_was_wrong(facility: Facility) -> None:
    facility.use(only("resolution"))
    facility.bring("135", 25, resolution=9.0)
    facility.commit()
    assert facility.look() == [("raised", "resolution")]
    bad = facility.alerts()[0]["text"]
    facility.now += 2 * MINUTE
    facility.bring("135", 25, resolution=3.0)
    facility.commit()
    facility.look()
    (alert,) = facility.alerts()
    assert "25 of the last 25" in alert["text"]
    assert alert["text"].endswith("(median 3.00 Å); over once that has held for 5 min")
    assert alert["value"] == 3.0
    facility.use(only("resolution"))  # a restart
    for _ in range(7):
        facility.look(1)
    assert facility.notices() == [("raised", "resolution"), ("over", "resolution")]
    (alert,) = facility.alerts()
    assert (alert["text"], alert["value"], alert["limit"]) == (bad, 9.0, 6.0)


def test_a_window_alert_began_when_its_limit_was_crossed_and_not_with_the_first_bad_value(facility: Facility) -> None:
    facility.use(only("resolution"))
    facility.bring("135", 10, resolution=9.0)
    facility.bring("135", 30, resolution=3.0)
    facility.bring("135", 60, resolution=9.0)
    facility.commit()
    assert facility.look() == [("raised", "resolution")]
    crossed = [item.time for item in facility.items["135"]][10 + 30 + 18]
    assert facility.alerts()[0]["since"] == crossed
