"""Whatever happens to clocks, servers and the agent: every alert is told once, and its end once."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from cryowatch.errors import SinkAway, SinkRefused
from cryowatch.notices import notifier as notifying
from cryowatch.records import Severity
from tests.notices.told import HOUR, House, Recording, Time, notifier, run

STEPS = st.one_of(
    st.tuples(st.just("raise"), st.sampled_from(list(Severity))),
    st.tuples(st.just("end"), st.integers(0, 20)),
    st.tuples(st.just("pass"), st.integers(1, 2000)),
    st.tuples(st.just("jump"), st.integers(-3, 3)),
    st.tuples(st.just("fail"), st.sampled_from([None, SinkAway("is away"), SinkRefused("refuses")])),
    st.tuples(st.just("restart"), st.none()),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=20))
def test_every_alert_is_told_once(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder, patch.object(notifying, "AGE", 10**18):
        time = Time()
        house = House(Path(folder) / "data", time)
        channel = Recording(severity=Severity.INFO)
        told = notifier(house, channel, quiet="22:00-07:00")
        raised: list[int] = []
        over: set[int] = set()
        for what, value in steps:
            match what:
                case "raise":
                    assert isinstance(value, Severity)
                    raised.append(house.raise_(value, text=f"alert {len(raised)}."))
                case "end" if raised:
                    assert isinstance(value, int)
                    alert = value % len(raised)
                    if alert not in over:
                        over.add(alert)
                        house.end(raised[alert])
                case "pass":
                    assert isinstance(value, int)
                    run(told, time, value)
                case "jump":
                    assert isinstance(value, int)
                    time.now += value * HOUR
                case "fail":
                    assert value is None or isinstance(value, SinkAway | SinkRefused)
                    channel.failure = value
                case "restart":
                    told = notifier(house, channel, quiet="22:00-07:00")
        channel.failure = None
        for _ in range(12):
            time.pass_(3600)
            run(told, time, 1000)
        entries = [entry for message in channel.messages for entry in message.entries]
        begun = Counter(entry.text for entry in entries if entry.what in ("raised", "passed"))
        ended = Counter(entry.text for entry in entries if entry.what in ("over", "passed"))
        house.store.close()
    assert begun == Counter(f"alert {number}." for number in range(len(raised)))
    assert ended == Counter(f"alert {number}." for number in over)
    assert told.behind == 0
