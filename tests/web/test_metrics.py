"""/metrics of a real agent, read by Prometheus' own parser: it parses, and every name comes back as it was."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from cryowatch import __version__
from cryowatch.errors import SinkRefused
from cryowatch.follow.status import Standing
from cryowatch.records import Severity
from cryowatch.store.alerts import Key, State
from cryowatch.web.metrics.families import gauge, written
from tests.support.projects import genuine
from tests.support.serving import Served, serving, until

HOSTILE = 'a "quoted" {name="x"} \\ back\\slash\nsecond,line=3 µ #'
WHERE = 'smtp://"mail"\\n:25'


def refused() -> dict[str, object]:
    standing = Standing(WHERE, accepted=3, rejected=1)
    standing.failed(SinkRefused("says no", where=WHERE))
    return standing.status(what="notices", waiting="notices", behind=2, dropped=7).shown()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("metrics")
    project = genuine(folder, HOSTILE)
    with serving([project], folder / "data", deliveries=[refused()]) as found:
        (session,) = found.store.reader().sessions()
        state = State(severity=Severity.CRITICAL, text="Import has stopped")
        key = Key(rule="import-stalled", session=session["id"], host="gpu1")
        now = time.time_ns()
        found.store.ledger().raise_(key, state, since=now, now=now)
        until(lambda: "cryowatch_host_cpu_ratio" in families(found))
        yield found


def families(served: Served) -> dict[str, Metric]:
    """Return the families by the name under which their samples stand, each of them once."""
    answer = served.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = list(text_string_to_metric_families(answer.text))
    kinds = {metric.name + ("_total" if metric.type == "counter" else ""): metric for metric in found}
    assert len(kinds) == len(found)
    return kinds


def one(served: Served, name: str, /, **labels: str) -> float:
    """Return the value of the only sample that has these labels."""
    metric = families(served)[name]
    (value,) = [s.value for s in metric.samples if s.name == name and labels.items() <= s.labels.items()]
    return value


def devices(served: Served, name: str) -> dict[str, float]:
    """Return a family's values by device; nothing while the family is not there."""
    metric = families(served).get(name)
    return {} if metric is None else {sample.labels["device"]: sample.value for sample in metric.samples}


def test_every_family_has_help_a_type_and_samples_that_differ(served: Served) -> None:
    for name, metric in families(served).items():
        assert metric.type == ("counter" if name.endswith("_total") else "gauge")
        assert metric.documentation.endswith(".")
        assert metric.samples
        assert {sample.name for sample in metric.samples} == {name}
        labels = [tuple(sorted(sample.labels.items())) for sample in metric.samples]
        assert len(set(labels)) == len(labels)


def test_a_hostile_project_name_comes_back_exactly(served: Served) -> None:
    key = served.get("/api/sessions")["sessions"][0]["id"]
    labels = {"name": HOSTILE, "session": key, "host": "gpu1"}
    assert one(served, "cryowatch_session_info", **labels) == 1


def test_counts_ages_and_backlogs_of_stages(served: Served) -> None:
    for stage in ("movies", "micrographs", "ctf"):
        assert one(served, "cryowatch_items", stage=stage) == 8
        assert one(served, "cryowatch_newest_age_seconds", stage=stage) > 0
    judged = {name: one(served, "cryowatch_estimates", judgement=name) for name in ("good", "outside", "disabled")}
    assert sum(judged.values()) == 8
    assert one(served, "cryowatch_backlog_items", stage="micrographs") == 0
    assert one(served, "cryowatch_backlog_items", stage="ctf") == 0
    assert one(served, "cryowatch_readable") == 1
    assert one(served, "cryowatch_running") == (served.get("/api/sessions")["sessions"][0]["status"] == "running")
    assert time.time() - one(served, "cryowatch_last_read_timestamp_seconds") < 60
    age = time.time() - one(served, "cryowatch_newest_timestamp_seconds")
    assert abs(age - one(served, "cryowatch_newest_age_seconds", stage="ctf")) < 60


def test_alerts_and_deliveries(served: Served) -> None:
    key = served.get("/api/sessions")["sessions"][0]["id"]
    assert one(served, "cryowatch_alerts_active", session=key, severity="critical") == 1
    assert one(served, "cryowatch_alerts_active", session=key, severity="warning") == 0
    assert one(served, "cryowatch_alerts_active", session="", severity="critical") == 0
    of = {"where": WHERE, "what": "notices"}
    assert one(served, "cryowatch_delivery_behind", **of) == 2
    assert one(served, "cryowatch_delivery_failing", **of) == 1
    assert one(served, "cryowatch_delivery_accepted_total", **of) == 3
    assert one(served, "cryowatch_delivery_rejected_total", **of) == 1
    assert one(served, "cryowatch_delivery_dropped_total", **of) == 7


def test_the_host_is_what_the_kernel_says(served: Served) -> None:
    assert 0 <= one(served, "cryowatch_host_cpu_ratio") <= 1
    assert one(served, "cryowatch_host_memory_ratio") == pytest.approx(psutil.virtual_memory().percent / 100, abs=0.2)
    sizes = devices(served, "cryowatch_filesystem_size_bytes")
    place = max((d for d in sizes if str(served.store.path).startswith(d)), key=len)
    usage = os.statvfs(place)
    assert sizes[place] == usage.f_blocks * usage.f_frsize


def test_the_agents_own_process(served: Served) -> None:
    own = psutil.Process()
    assert one(served, "cryowatch_info", version=__version__) == 1
    assert one(served, "process_cpu_seconds_total") == pytest.approx(sum(own.cpu_times()[:2]), abs=5)
    assert one(served, "process_start_time_seconds") == pytest.approx(own.create_time(), abs=1)
    assert one(served, "process_resident_memory_bytes") == pytest.approx(own.memory_info().rss, rel=0.2)
    assert one(served, "process_virtual_memory_bytes") > one(served, "process_resident_memory_bytes")
    assert one(served, "process_open_fds") == pytest.approx(own.num_fds(), abs=20)
    assert one(served, "process_max_fds") == own.rlimit(psutil.RLIMIT_NOFILE)[0]


@given(value=st.text(st.characters(exclude_categories=["Cs"])), number=st.floats() | st.integers(-(2**53), 2**53))
def test_any_text_and_number_come_back(value: str, number: float) -> None:
    family = gauge("a_b", "Some text.", [((value, "x"), number)], labels=("first", "second"))
    text, _ = written(family, as_openmetrics=False)
    (metric,) = text_string_to_metric_families(text.decode())
    (sample,) = metric.samples
    assert sample.labels == {"first": value, "second": "x"}
    assert sample.value == pytest.approx(number, rel=1e-12, nan_ok=True)


def test_who_accepts_openmetrics_gets_it_with_the_same_families(served: Served) -> None:
    accepted = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3"
    answer = served.client.get("/metrics", headers={"Accept": accepted})
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    found = {metric.name: metric.type for metric in openmetrics_families(answer.text)}  # type: ignore[no-untyped-call]
    assert found == {metric.name: metric.type for metric in families(served).values()}


@pytest.mark.parametrize("accepted", ["", "text/html", "application/openmetrics-text;version=x", "a;version=9"])
def test_whoever_accepts_anything_else_gets_the_text_format(served: Served, accepted: str) -> None:
    answer = served.client.get("/metrics", headers={"Accept": accepted})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_a_file_system_whose_mount_is_no_utf8_is_sampled(tmp_path: Path) -> None:
    below = tmp_path / "below"
    genuine(below)
    place = os.fsencode(tmp_path) + b'/m\xff "\\\n'
    os.mkdir(place)  # noqa: PTH102  a Path would have to hold what is no text
    if os.geteuid() or subprocess.run([b"bindfs", os.fsencode(below), place], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        link = tmp_path / "project"
        link.symlink_to(os.fsdecode(place + b"/small"))
        with serving([link], tmp_path / "data") as served:
            name = f'{tmp_path}/m\\xff "\\\n'
            until(lambda: name in devices(served, "cryowatch_filesystem_free_bytes"))
    finally:
        subprocess.run([b"umount", b"--lazy", place], check=False)
