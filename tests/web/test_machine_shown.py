"""The System and Gain pages as people see them: what is full and when, why there are no GPUs, what stands out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from cryowatch.records import DeviceSample, HostSample
from cryowatch.sources.scipion import gain
from tests.sources.test_gain import FOLDER, add_run
from tests.support.browsing import Visit
from tests.support.projects import genuine
from tests.support.serving import Served, serving, until

pytestmark = pytest.mark.browser

PHONE: dict[str, Any] = {"viewport": {"width": 375, "height": 800}}
DISKS = (
    DeviceSample(kind="filesystem", device="/", used=31.2, free=8.1e10, total=2.7e11),
    DeviceSample(kind="filesystem", device="/data", used=93.0, free=1.2e12, total=2.4e13, full_in=12_000.0),
    DeviceSample(kind="filesystem", device="/scratch", used=96.3, free=1.4e11, total=3.8e12, full_in=2_900.0),
    DeviceSample(kind="filesystem", device="/nfs", note="has not answered for 7 min"),
)
ABSENT = DeviceSample(kind="gpu", device="", note="there is no NVIDIA driver")
GPUS = (
    DeviceSample(kind="gpu", device="0", use=88.0, memory=41.0, temperature=87.0, power=250.0, processes=2),
    DeviceSample(kind="gpu", device="1", note="it fell off the bus or was reset; restart the machine"),
)


class Machine:
    """Stands for the machine that the agent samples."""

    gpus: Sequence[DeviceSample] = (ABSENT,)

    def __init__(self, host: str, **_: object) -> None:
        self._host = host

    def sample(self, _paths: object) -> HostSample:
        devices = (*DISKS, *self.gpus)
        return HostSample(host=self._host, time=time.time_ns(), cpu=40.0, memory=50.0, load=2.0, devices=devices)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr("cryowatch.agent.agent.HostSource", Machine)
    project = genuine(tmp_path)
    add_run(project)
    (project / FOLDER).mkdir()
    lines = [f"movie_{n:06d}_residual: {0.01 + n / 300:.6f} 0.95 1.04 {2.0 + n / 4:.6f}\n" for n in range(1, 13)]
    (project / FOLDER / gain.FILE).write_text("".join(lines))
    with serving([project], tmp_path / "data") as found:
        yield found


def panel(page: Page, name: str) -> Any:
    return page.locator(f'[data-panel="{name}"]')


def lines(page: Page, name: str) -> list[list[str]]:
    """Return the cells of a table."""
    rows = panel(page, name).locator("tbody tr")
    return [row.locator("td").all_inner_texts() for row in rows.all()]


def test_file_systems_say_how_full_they_are_and_when_nothing_is_left(browser: Browser, served: Served) -> None:
    visit = Visit(browser, served.address)
    page = visit.go("/s/small/system")
    expect(panel(page, "file-systems")).to_contain_text("3 h 20 min")
    assert lines(page, "file-systems") == [
        ["/", "31.2", "–", "81.0 GB", "270.0 GB", "–"],
        ["/data", "93.0", "3 h 20 min", "1.2 TB", "24.0 TB", "–"],
        ["/nfs", "–", "–", "–", "–", "has not answered for 7 min"],
        ["/scratch", "96.3", "48 min", "140.0 GB", "3.8 TB", "–"],
    ]
    expect(panel(page, "file-systems").locator("td.warn")).to_have_text(["93.0", "3 h 20 min"])
    expect(panel(page, "file-systems").locator("td.bad")).to_have_text(["96.3", "48 min"])
    visit.close()


def test_on_a_phone_a_long_name_does_not_hide_when_a_disk_is_full(
    browser: Browser, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = DeviceSample(kind="filesystem", device="/nfs/facility/of/some/name/that/is/long", used=10.0, free=1e12)
    monkeypatch.setattr(Machine, "gpus", (long,))
    visit = Visit(browser, served.address, **PHONE)
    page = visit.go("/s/small/system")
    expect(panel(page, "file-systems")).to_contain_text("that/is/long")
    place = panel(page, "file-systems").get_by_text("3 h 20 min").bounding_box()
    assert place is not None
    assert place["x"] + place["width"] <= 375
    visit.close()


def test_without_gpus_one_quiet_line_says_why_and_their_charts_hide(browser: Browser, served: Served) -> None:
    visit = Visit(browser, served.address, **PHONE)
    page = visit.go("/s/small/system")
    panel(page, "gpus").scroll_into_view_if_needed()
    expect(panel(page, "gpus").locator(".quiet")).to_have_text("No GPUs: there is no NVIDIA driver.")
    for name in ("gpu-use", "gpu-memory", "gpu-temperature", "gpu-power"):
        expect(panel(page, name)).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    visit.close()


def test_the_page_keeps_up_and_gpus_that_come_back_take_the_place_of_the_reason(
    browser: Browser, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(browser, served.address)
    visit.page.clock.install()
    page = visit.go("/s/small/system")
    panel(page, "gpus").scroll_into_view_if_needed()
    expect(panel(page, "gpus").locator(".quiet")).to_be_visible()
    monkeypatch.setattr(Machine, "gpus", GPUS)
    reader = served.store.reader()
    until(lambda: reader.value("SELECT max(device) FROM device_sample WHERE kind = 'gpu'"))
    page.clock.fast_forward(11_000)
    expect(panel(page, "gpus").locator("tbody tr")).to_have_count(2)
    assert lines(page, "gpus") == [
        ["0", "88", "41", "87", "250", "2", "–"],
        ["1", "–", "–", "–", "–", "–", "it fell off the bus or was reset; restart the machine"],
    ]
    expect(panel(page, "gpus").locator("td.warn, td.bad")).to_have_count(0)  # no rule judges 87 °C
    expect(panel(page, "gpu-use")).to_be_visible()
    visit.close()


def test_residuals_beyond_the_limits_stand_out_and_the_table_sorts(browser: Browser, served: Served) -> None:
    visit = Visit(browser, served.address)
    page = visit.go("/s/small/gain")
    table = panel(page, "gain-table")
    expect(table.locator("tbody tr")).to_have_count(12)
    assert lines(page, "gain-table")[0][1] == "movie_000012", "the newest comes first"
    assert len(table.locator("td.bad").all()) == 3 + 2, "three of the standard deviations, two of the maxima"
    table.get_by_role("button", name="Standard deviation").click()
    table.get_by_role("button", name="Standard deviation").click()
    assert lines(page, "gain-table")[0][1] == "movie_000001"
    for name in ("gain-stddev", "gain-ratio1", "gain-ratio2"):
        expect(panel(page, name).locator("canvas")).to_be_visible()
    visit.close()


AXIS = """async (name) => {
  const echarts = await import(document.querySelector('link[href*="echarts"]').href);
  const chart = echarts.getInstanceByDom(document.querySelector(`[data-panel="${name}"] .chart`));
  return chart.getModel().getComponent("yAxis").axis.scale.getExtent();
}"""


def test_a_limit_that_lies_near_the_values_is_in_sight(browser: Browser, served: Served) -> None:
    visit = Visit(browser, served.address)
    page = visit.go("/s/small/gain")
    for name in ("gain-stddev", "gain-ratio1", "gain-ratio2"):
        expect(panel(page, name).locator("canvas")).to_be_visible()
    assert page.evaluate(AXIS, "gain-ratio2")[1] >= 4.5
    assert page.evaluate(AXIS, "gain-stddev")[1] >= 0.04
    assert page.evaluate(AXIS, "gain-ratio1")[1] >= 1.15
    visit.close()
