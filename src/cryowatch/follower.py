"""Those who carry what the store holds elsewhere."""

from __future__ import annotations

from typing import Any, Protocol


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
