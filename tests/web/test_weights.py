"""What a session of very many runs, outputs and errors takes of everybody's first page, and of its own pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryowatch.records import OutputKind, Severity
from cryowatch.store.alerts import Key, State
from tests.support.projects import genuine
from tests.support.records import START, micrograph, output, reading, run, session, span
from tests.support.serving import Served, serving

RUNS, OUTPUTS, MICROGRAPHS, ALERTS = 1_000, 2_000, 2_000, 21
TEXT = 4_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("heavy")
    with serving([genuine(folder)], folder / "data") as found:
        number = found.store.register(session("/data/heavy")).session
        runs = tuple(run(str(n), label="l" * 300, status="failed", error="e" * TEXT) for n in range(RUNS))
        items = [micrograph(n, run="1", output="outputCTF", name="n" * TEXT) for n in range(1, MICROGRAPHS + 1)]
        estimates = span(items, run="1")
        outputs = (output("1"), *(output("1", f"{n:05}{'o' * 290}", kind=OutputKind.OTHER) for n in range(OUTPUTS)))
        found.store.commit(number, reading(estimates, runs=runs, outputs=outputs), now=START)
        ledger = found.store.ledger()
        for n in range(ALERTS):
            state = State(severity=Severity.WARNING, text="t" * 240, detail="d" * TEXT)
            ledger.raise_(Key(rule="run-failed", session=number, host="gpu1", subject=str(n)), state, since=1, now=2)
        yield found


def weight(served: Served, path: str) -> int:
    return len(served.client.get(path).content)


def test_everybodys_first_page_is_as_light_beside_it(served: Served) -> None:
    assert {one["id"] for one in served.get("/api/sessions")["sessions"]} == {"small", "heavy"}
    assert weight(served, "/api/sessions") < 40_000
    assert weight(served, "/api/sessions/small") < 40_000


def test_its_own_pages_tell_the_last_runs_and_outputs(served: Served) -> None:
    detail = served.get("/api/sessions/heavy")
    assert (len(detail["runs"]), detail["runs"][-1]["run"]) == (200, str(RUNS - 1))
    assert len(detail["outputs"]) <= 301
    assert "outputCTF" in [one["name"] for one in detail["outputs"]], "what the page shows is among them"
    assert detail["alerts"]["active"][0]["detail"] == "d" * TEXT
    table = served.get("/api/sessions/heavy/data/summary", panels="runs")["panels"]["runs"]
    assert (len(table["rows"]), table["total"]) == (200, RUNS + OUTPUTS)
    assert weight(served, "/api/sessions/heavy") < 1_500_000
    assert weight(served, "/api/sessions/heavy/data/summary") < 1_200_000


def test_changes_of_very_long_texts_come_in_several_answers(served: Served) -> None:
    seen: set[int] = set()
    head, more = 0, True
    while more:
        path = f"/api/sessions/heavy/micrographs?after={head}"
        answer = served.client.get(path)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) < 6_000_000
        found = answer.json()
        assert found["micrographs"], "something comes each time"
        seen |= {one["item"] for one in found["micrographs"]}
        head, more = found["head"], found["more"]
    assert seen == set(range(1, MICROGRAPHS + 1))
