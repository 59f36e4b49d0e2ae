"""What is written as line protocol comes back equal from a real server, for any text and any number."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryowatch.influx.lines import Fields, Kind, fields_of, line, measurement, series, tag_text
from tests.support.influxd import ADMIN, InfluxServer


def write(influx: InfluxServer, text: str) -> None:
    answer = influx.client.post("/write", params={"db": "scipion"}, content=text.encode(), auth=ADMIN)
    assert answer.status_code == 204, (text, answer.text)


def back(influx: InfluxServer, name: str) -> list[tuple[dict[str, str], dict[str, object]]]:
    """Return tags and fields of every point of a measurement."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    answer = influx.client.post(
        "/query",
        data={"q": f'SELECT * FROM "{quoted}" GROUP BY *', "db": "scipion", "epoch": "ns"},
        auth=ADMIN,
    )
    found = json.loads(answer.text)["results"][0]
    assert "error" not in found, found
    return [
        (s.get("tags", {}), dict(zip(s["columns"], row, strict=True)))
        for s in found.get("series", [])
        for row in s["values"]
    ]


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
hostile = st.text("\\,= \"'\n\t#/äé😀{}$x", min_size=1, max_size=12)
names = texts | hostile
TIME = 1_795_000_000_000_000_007
numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=texts | hostile,
    project=texts | hostile,
    text=texts | hostile | st.just(""),
    number=numbers,
    flag=st.booleans(),
)
def test_what_goes_in_comes_back_equal(
    influx: InfluxServer, *, name: str, project: str, text: str, number: float, flag: bool
) -> None:
    fields = fields_of({"text": text, "number": number, "flag": flag})[1]
    written = line(series(name, {"project": project}), fields, 1_795_000_000_000_000_007)
    assert written is not None
    write(influx, written)
    shown = tag_text(name)
    shown = f"/{shown}" if shown.startswith("#") else shown
    found = [fields for tags, fields in back(influx, shown) if tags["project"] == tag_text(project)]
    influx.query('DROP MEASUREMENT "{}"'.format(shown.replace("\\", "\\\\").replace('"', '\\"')), database="scipion")
    assert len(found) == 1
    assert found[0]["time"] == TIME
    assert found[0]["text"] == text.replace("\0", "\u2400")
    assert found[0]["flag"] is flag
    stored = found[0].get("number")
    assert (stored is None) is not math.isfinite(number)
    assert stored is None or float(str(stored)) == number


@pytest.mark.parametrize(
    "name", ["session-01", "2020_02_25 x", "it's", 'say "x"', "ü 😀", "a/b", "50 %", "a\\b", "x" * 200]
)
def test_names_that_facilities_use_are_written_as_they_are(name: str) -> None:
    assert tag_text(name) == name


def test_different_names_stay_different() -> None:
    names = ["a\\", "a\\ b", "a b", "a\nb", "a\tb", "a,b", "a=b", "a\\,b", "a"]
    assert len({tag_text(name) for name in names}) == len(names)
    assert measurement("#x") == "/#x"


def test_none_and_what_is_not_finite_is_left_out() -> None:
    fields = Fields([("a", Kind.FLOAT), ("b", Kind.FLOAT), ("id", Kind.INTEGER), ("t", Kind.TEXT), ("e", Kind.FLAG)])
    assert fields.written([1, None, 7, "x", 1]) == 'a=1.0,id=7i,t="x",e=true'
    assert fields.written([math.inf, math.nan, 7, None, False]) == "id=7i,e=false"
    assert line("m", fields.written([None] * 5), 1) is None
    assert line("m", "a=1.0", 2**70) is None


def test_tags_are_sorted_and_empty_ones_left_out() -> None:
    assert series("m", {"run": "135", "host": "", "project": "a b"}) == r"m,project=a\ b,run=135"


def test_many_points_are_written_as_each_would_be_alone() -> None:
    kinds = (Kind.FLOAT, Kind.INTEGER, Kind.TEXT, Kind.FLAG, Kind.FLOAT)
    fields = Fields([(f"f{number}", kind) for number, kind in enumerate(kinds)])
    usual = [(1.5, 1, "plain", 1, None), (0.1, 2**40, "näme", 0, None)]
    strange = [(None, 3, 'a"b\\', True, math.nan), (7, None, "\ud800\0", None, 3), (math.inf, True, "", False, 2.5)]
    nothing = [(None,) * 5, (math.inf, None, None, None, math.nan)]
    for points in (usual, strange, nothing, [*usual, *strange, *nothing], strange[:1]):
        assert fields.of_columns(list(zip(*points, strict=True))) == [fields.written(point) for point in points]
    assert fields.of_columns(list(zip(*nothing, strict=True))) == ["", ""]
    assert fields.of_columns(list(zip(*strange, strict=True))) == [
        'f1=3i,f2="a\\"b\\\\",f3=true',
        'f0=7.0,f2="?\u2400",f4=3.0',
        'f1=1i,f2="",f3=false,f4=2.5',
    ]
    assert fields.of_columns(list(zip(*usual, strict=True)))[1] == 'f0=0.1,f1=1099511627776i,f2="näme",f3=false'
