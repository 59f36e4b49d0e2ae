"""What an attack prints: a heading, figures, and for each promise whether it was kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Verdicts:
    """The lines of one attack; each is printed as it comes unless `quiet`."""

    title: str
    quiet: bool = False
    lines: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._say(f"### {self.title}\n")

    def figure(self, text: str) -> None:
        """Print what was done or measured."""
        self._say(f"- {text}")

    def promise(self, text: str, *, kept: bool, otherwise: object = "") -> None:
        """Print a promise and whether it was kept; `otherwise` says what was found instead."""
        if kept:
            self._say(f"- **kept**: {text}")
        else:
            self.broken.append(f"{text}: {otherwise}")
            self._say(f"- **BROKEN**: {text}: {otherwise}")

    def skipped(self, reason: str) -> None:
        """Print why something was not tried."""
        self._say(f"- not tried: {reason}")

    def ended(self) -> int:
        """Print how long it took; returns the exit status."""
        self._say(f"- {time.monotonic() - self.began:,.0f} s\n")
        return 1 if self.broken else 0

    def _say(self, line: str) -> None:
        self.lines.append(line)
        if not self.quiet:
            print(line, flush=True)


def run(*attacks: Callable[[], Verdicts]) -> None:
    """Run attacks one after the other and end the process: 1 where a promise was broken."""
    sys.exit(max([attack().ended() for attack in attacks], default=0))
