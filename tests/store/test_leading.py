"""Which outputs stand for a session: whatever its filters, copies and grids, every micrograph counts once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cryowatch.records import OutputKind, is_discarded
from cryowatch.store.leading import Leading

MOVIES, MICROGRAPHS, CTF = OutputKind.MOVIES, OutputKind.MICROGRAPHS, OutputKind.CTF


def row(number: int, kind: OutputKind, count: int, inputs: str | None = "", **values: Any) -> dict[str, Any]:
    """Return an output of the run of the same number."""
    usual = {"id": number, "run": str(number), "name": f"output{number}", "kind": kind, "count": count, "newest": count}
    return {**usual, "run_inputs": inputs, "stream_open": False, **values}


def led(*outputs: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return Leading(outputs).ids


IMPORT = row(2, MOVIES, 20)
ALIGNED = row(67, MICROGRAPHS, 20, "2.output2")
ESTIMATED = row(135, CTF, 20, "67.output67")


@pytest.mark.parametrize("streaming", [True, False])
def test_a_consensus_is_no_estimate_and_what_it_discards_is_no_headline(*, streaming: bool) -> None:
    discarded = row(200, CTF, 12, "135.output135", name="outputCTFDiscarded", stream_open=streaming)
    accepted = {**discarded, "id": 201, "name": "outputCTF", "count": 8}
    assert led(IMPORT, ALIGNED, ESTIMATED, discarded, accepted)["ctf"] == (135,)
    assert led(IMPORT, ALIGNED, {**ESTIMATED, "count": 0, "newest": None}, discarded)["ctf"] == (135,)


def test_where_the_estimates_were_deleted_the_accepted_ones_stand_for_them() -> None:
    discarded = row(200, CTF, 12, "135.output135", name="outputCTFDiscarded")
    accepted = {**discarded, "id": 201, "name": "outputCTF", "count": 8}
    assert led(IMPORT, ALIGNED, discarded, accepted)["ctf"] == (201,)
    assert led(IMPORT, ALIGNED, discarded)["ctf"] == (200,), "nothing else is there"


def test_the_aligned_copy_of_the_movies_and_filters_of_them_are_no_second_import() -> None:
    copies = row(67, MOVIES, 15, "2.output2", id=68, stream_open=True)
    filtered = row(90, MOVIES, 12, "67.output67", stream_open=True)
    kept = row(90, MICROGRAPHS, 12, "67.output67", id=91, stream_open=True)
    assert led(IMPORT, ALIGNED, copies, filtered, kept) == {"movies": (2,), "micrographs": (67,), "ctf": ()}


def test_micrographs_that_a_consensus_of_estimates_brings_are_a_selection() -> None:
    kept = row(200, MICROGRAPHS, 8, "135.output135", stream_open=True)
    assert led(IMPORT, ALIGNED, ESTIMATED, kept)["micrographs"] == (67,)


def test_two_grids_count_together() -> None:
    second = row(3, MOVIES, 31)
    aligned = row(68, MICROGRAPHS, 30, "3.output3")
    estimated = row(136, CTF, 29, "68.output68")
    leading = Leading([IMPORT, second, ALIGNED, aligned, ESTIMATED, estimated])
    assert leading.ids == {"movies": (2, 3), "micrographs": (67, 68), "ctf": (135, 136)}
    assert [leading[kind].count for kind in (MOVIES, MICROGRAPHS, CTF)] == [51, 50, 49]
    assert leading[CTF].newest == 29


def test_grids_that_were_joined_count_once() -> None:
    second = row(3, MOVIES, 31)
    joined = row(4, MOVIES, 51, "2.output2,3.output3")
    aligned = row(67, MICROGRAPHS, 50, "4.output4")
    assert led(IMPORT, second, joined, aligned) == {"movies": (2, 3), "micrographs": (67,), "ctf": ()}


def test_two_estimates_of_the_same_micrographs_count_once() -> None:
    other = row(136, CTF, 25, "67.output67")
    assert led(IMPORT, ALIGNED, ESTIMATED, other)["ctf"] == (136,)
    assert led(IMPORT, ALIGNED, ESTIMATED, {**other, "count": 20})["ctf"] == (135,), "the first of equals"
    growing = {**other, "count": 3, "stream_open": True}
    assert led(IMPORT, ALIGNED, ESTIMATED, growing)["ctf"] == (136,), "the one at work"


def test_a_dose_weighted_copy_counts_once() -> None:
    copy = {**ALIGNED, "id": 70, "name": "outputMicrographsDoseWeighted"}
    assert led(IMPORT, ALIGNED, copy)["micrographs"] == (67,)


def test_where_nobody_tells_what_runs_were_made_from_one_output_stands_for_a_stage() -> None:
    outputs = [{**o, "run_inputs": None} for o in (IMPORT, row(3, MOVIES, 31), ESTIMATED, row(136, CTF, 25))]
    discarded = row(200, CTF, 40, None, name="outputCTFDiscarded")
    assert led(*outputs, discarded) == {"movies": (3,), "micrographs": (), "ctf": (136,)}


def test_runs_that_were_made_from_each_other_do_not_go_round_for_ever() -> None:
    a, b = row(5, CTF, 3, "6.output6"), row(6, CTF, 4, "5.output5")
    assert led(a, b)["ctf"] == (6,)


@pytest.mark.parametrize(
    "name", ["outputCTFDiscarded", "discardedMicrographs", "rejected", "Bad", "ctfs_bad", "outputCTFBad"]
)
def test_names_of_what_was_discarded_are_known(name: str) -> None:
    assert is_discarded(name)


@pytest.mark.parametrize("name", ["outputCTF", "Badger", "baden", "CTFs", "lambad", "outputMicrographs"])
def test_other_names_are_not_taken_for_discarded(name: str) -> None:
    assert not is_discarded(name)


def test_thousands_of_outputs_are_told_apart_at_once() -> None:
    many = [row(number, CTF, 1, f"2.output2,{number - 1}.output{number - 1}") for number in range(1_000, 4_000)]
    alone = [row(number, CTF, 1, "") for number in range(5_000, 8_000)]
    began = time.process_time()
    led(IMPORT, ALIGNED, *many)
    led(*reversed(many), *alone)
    assert time.process_time() - began < 2
