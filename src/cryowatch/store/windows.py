"""What alert rules ask of a session's items: their newest values, and how many there were when.  Times are UTC ns."""

from __future__ import annotations

from collections.abc import Sequence

from cryowatch.judgement import OF_A_FIT, of_outputs
from cryowatch.store.reader import Reader


def of_estimates(outputs: Sequence[int], field: str) -> str:
    """Return the table and condition of the estimates that are judged by a field."""
    source = f"micrograph WHERE {of_outputs(outputs)} AND enabled = 1"
    return source if field in OF_A_FIT else f"{source} AND {field} IS NOT NULL"


def of_gains(session: int, field: str) -> str:
    """Return the table and condition of the gain residuals of a session that have a field."""
    return f"gain WHERE session_id = {session:d} AND {field} IS NOT NULL"


def values(reader: Reader, source: str, field: str, *, most: int, now: int) -> Sequence[tuple[float | None, int]]:
    """Return the newest values of a field and their times, the newest first; a time in the future is the present."""
    sql = f"SELECT {field}, min(time, ?) FROM {source} ORDER BY time DESC, item DESC LIMIT ?"
    return [(value, time) for value, time in reader.table(sql, (now, most))[1]]


def count_since(reader: Reader, source: str, time: int) -> int:
    """Return how many there are after a time."""
    return int(reader.value(f"SELECT count(*) FROM {source} AND time > ?", (time,)))


def median(reader: Reader, outputs: Sequence[int], field: str) -> float | None:
    """Return the median of a field over all items of some outputs that nobody disabled."""
    found: float | None = reader.value(
        f"SELECT quantile({field}, 0.5) FROM micrograph WHERE {of_outputs(outputs)} AND enabled = 1"
    )
    return found


def count_upto(reader: Reader, outputs: Sequence[int], time: int) -> int:
    """Return how many items some outputs had at a time."""
    return int(reader.value(f"SELECT count(*) FROM micrograph WHERE {of_outputs(outputs)} AND time <= ?", (time,)))


def first_after(reader: Reader, outputs: Sequence[int], time: int) -> int | None:
    """Return the time of the first item of some outputs after a time."""
    found: int | None = reader.value(
        f"SELECT min(time) FROM micrograph WHERE {of_outputs(outputs)} AND time > ?", (time,)
    )
    return found
