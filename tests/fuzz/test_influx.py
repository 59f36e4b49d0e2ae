"""Many points of any texts and numbers in one batch: what a real InfluxDB holds afterwards is what was written."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cryowatch.influx.layouts import quoted
from cryowatch.influx.lines import fields_of, series, tag_text
from cryowatch.influx.lines import line as line_of
from cryowatch.influx.server import quote_identifier, quote_string
from tests.fuzz.effort import fuzzed, tried
from tests.support.influxd import ADMIN, InfluxServer

TIME = 1_795_000_000_000_000_000
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.text("\\,= \"'\n\t#/äé😀{}$x;-", min_size=1, max_size=8),
    st.sampled_from(["time", "_field", "null", "name", "'; DROP DATABASE scipion; --", '" OR 1=1', "\\", "\\\\ ", "#"]),
)
POINTS = st.lists(
    st.tuples(TEXTS, st.floats(), TEXTS | st.just(""), st.integers(-(2**63) + 1, 2**63 - 1)), min_size=20, max_size=60
)


def asked(influx: InfluxServer, statement: str) -> list[dict[str, Any]]:
    """Return the rows of a query."""
    found = influx.client.post("/query", data={"q": statement, "db": "scipion", "epoch": "ns"}, auth=ADMIN)
    result = json.loads(found.text)["results"][0]
    assert "error" not in result, (statement, result)
    return [
        {**one.get("tags", {}), **dict(zip(one["columns"], row, strict=True))}
        for one in result.get("series", [])
        for row in one["values"]
    ]


@given(TEXTS, POINTS)
@fuzzed(examples=6)
def test_a_batch_of_anything_comes_back_equal_and_nothing_else_does(
    influx: InfluxServer, name: str, points: list[tuple[str, float, str, int]]
) -> None:
    tried("points in InfluxDB", len(points))
    lines, wanted = [], {}
    for place, (project, number, text, whole) in enumerate(points):
        fields = {"number": number, "text": text, "whole": float(whole), "flag": place % 2 == 0}
        line = line_of(series(name, {"project": project}), fields_of(fields)[1], TIME + place)
        assert line is not None
        lines.append(line)
        kept = number if math.isfinite(number) else None
        wanted[TIME + place] = (tag_text(project), kept, text.replace("\0", "\u2400"), float(whole), place % 2 == 0)
    answer = influx.client.post("/write", params={"db": "scipion"}, content="\n".join(lines).encode(), auth=ADMIN)
    assert answer.status_code == 204, answer.text
    shown = f"/{tag_text(name)}" if tag_text(name).startswith("#") else tag_text(name)
    source = quoted(shown)
    try:
        rows = asked(influx, f'SELECT "number", "text", "whole", "flag" FROM {source} GROUP BY "project"')
        found = {
            row["time"]: (
                row["project"],
                None if row["number"] is None else float(row["number"]),
                row["text"],
                float(row["whole"]),
                row["flag"],
            )
            for row in rows
        }
        assert found == wanted
        for project in {project for project, *_ in found.values()}:
            same = asked(influx, f'SELECT "whole" FROM {source} WHERE "project" = {quote_string(project)}')
            assert {row["time"] for row in same} == {at for at, one in found.items() if one[0] == project}
    finally:
        asked(influx, f"DROP MEASUREMENT {source}")
    assert not asked(influx, "SHOW MEASUREMENTS")


@given(TEXTS.filter(str.isprintable))  # a carriage return has no form in InfluxQL; the server refuses it
@fuzzed(examples=12)
def test_a_user_of_any_name_is_made_and_dropped_and_no_other(influx: InfluxServer, name: str) -> None:
    tried("names of users in InfluxDB")
    try:
        asked(influx, f"CREATE USER {quote_identifier(name)} WITH PASSWORD {quote_string(name)}")
        assert {row["user"] for row in asked(influx, "SHOW USERS")} == {ADMIN[0], name}
    finally:
        asked(influx, f"DROP USER {quote_identifier(name)}")
    assert [row["user"] for row in asked(influx, "SHOW USERS")] == [ADMIN[0]]
