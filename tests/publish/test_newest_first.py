"""In which order micrographs wait for being published, and what that costs."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from cryowatch.publish.queue import NewestFirst, Waiting

SECOND = 10**9


def test_the_newest_come_first_and_each_once() -> None:
    queue = NewestFirst()
    queue.put(Waiting(2, 7), Waiting(1, 8), Waiting(2, 9), Waiting(2, 7))
    queue.put(Waiting(2, 9))
    assert len(queue) == 3
    assert queue.take(0, 2) == [Waiting(2, 9), Waiting(2, 7)]
    assert queue.take(0, 2) == [Waiting(1, 8)]
    assert queue.take(0, 2) == []
    assert not queue.ready(0)


def test_what_is_put_off_comes_at_its_time_and_knows_how_often_it_was_tried() -> None:
    queue = NewestFirst()
    queue.put(Waiting(1, 1))
    queue.put_off(Waiting(5, 2, tries=3), due=100)
    queue.put(Waiting(5, 2))  # it changed meanwhile
    assert (len(queue), queue.due(), queue.ready(99)) == (2, 100, True)
    assert queue.take(99, 9) == [Waiting(1, 1)]
    assert not queue.ready(99)
    assert queue.ready(100)
    assert queue.take(100, 9) == [Waiting(5, 2, tries=3)]
    assert (len(queue), queue.due()) == (0, None)


def test_one_whose_time_changed_while_it_waited_may_come_twice_and_breaks_nothing() -> None:
    queue = NewestFirst()
    queue.put(Waiting(1, 7), Waiting(5, 7))
    assert queue.take(0, 1) == [Waiting(5, 7)]
    queue.put_off(Waiting(5, 7, tries=1), due=100)
    assert queue.take(0, 1) == [Waiting(1, 7)]
    assert queue.take(100, 9) == [Waiting(5, 7, tries=1)]
    assert len(queue) == 0


def test_what_is_put_back_keeps_its_tries() -> None:
    queue = NewestFirst()
    queue.put(Waiting(5, 2, tries=1), Waiting(6, 3))
    assert queue.take(0, 9) == [Waiting(6, 3), Waiting(5, 2, tries=1)]
    queue.put(Waiting(5, 2))
    assert queue.take(0, 9) == [Waiting(5, 2)]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(1, 30), st.integers(0, 2)),
            st.tuples(st.just("put off"), st.integers(1, 30), st.integers(1, 3)),
            st.tuples(st.just("take"), st.integers(0, 5), st.integers(1, 4)),
        )
    )
)
def test_it_does_what_a_list_sorted_anew_each_time_would(steps: list[tuple[str, int, int]]) -> None:
    """Times are the ids' halves, so that some are equal; time goes on with each step."""
    queue, ready, later = NewestFirst(), dict[int, Waiting](), dict[int, tuple[int, Waiting]]()
    for now, (what, number, extra) in enumerate(steps):
        one = Waiting(number // 2, number, tries=extra)
        if what == "put":
            queue.put(one)
            if number not in later:
                ready.setdefault(number, one)
        elif what == "put off" and number not in ready and number not in later:
            queue.put_off(one, due=now + extra)
            later[number] = (now + extra, one)
        elif what == "take":
            for key, (due, waiting) in list(later.items()):
                if due <= now:
                    del later[key]
                    ready[key] = waiting
            expected = sorted(ready.values(), key=lambda w: (w.time, w.id), reverse=True)[:extra]
            for waiting in expected:
                del ready[waiting.id]
            assert queue.take(now, extra) == expected
        assert len(queue) == len(ready) + len(later)
        assert queue.ready(now) == bool(ready or any(due <= now for due, _ in later.values()))


def test_a_target_that_is_away_for_long_takes_no_memory() -> None:
    queue = NewestFirst()
    tracemalloc.start()
    for number in range(20_000):
        queue.put(Waiting(number * SECOND, number))
    took, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(queue) == 20_000
    assert took < 500_000
