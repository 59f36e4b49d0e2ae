"""Those who carry what the store holds elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that a person may have to see to: where, and one line of what and how."""

    where: str
    text: str


class Follower(Protocol):
    """Carries what the store holds elsewhere, at its own pace: `run` until `stop`, or `finish` what there is now.

    `wake` and `stop` may be called from any thread and do not wait; `described` is for pages and metrics, and
    `carries_samples` says whether it misses host samples that are forgotten.
    """

    @property
    def follower(self) -> str: ...

    @property
    def carries_samples(self) -> bool: ...

    @property
    def behind(self) -> int: ...

    def described(self) -> dict[str, Any]: ...

    def wake(self) -> None: ...

    def stop(self) -> None: ...

    def run(self) -> None: ...

    def finish(self) -> bool: ...


def finished(follower: Follower) -> Problem | None:
    """Let a follower finish, and return what stood in its way."""
    if follower.finish():
        return None
    said = follower.described()
    left = f"{follower.behind:,} {said['waiting']} are not delivered and will be sent later"
    return Problem(where=said["where"], text=f"{said['problem']}; {left}" if said["problem"] else left)
