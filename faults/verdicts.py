"""The results of an attack: what was done and measured, and for each promise whether it was kept."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise, whether it was kept, and what was found instead where it was not."""

    text: str
    kept: bool
    otherwise: str = ""

    @property
    def line(self) -> str:
        """The promise and its verdict, for people."""
        return f"**kept**: {self.text}" if self.kept else f"**BROKEN**: {self.text}: {self.otherwise}"


@dataclass(slots=True)
class Verdicts:
    """The findings of one attack, in their order; each is printed as it comes unless `quiet`."""

    title: str
    quiet: bool = False
    figures: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    not_tried: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._say(f"### {self.title}\n")

    def figure(self, text: str) -> None:
        """Say what was done or measured."""
        self.figures.append(text)
        self._say(f"- {text}")

    def promise(self, text: str, *, kept: bool, otherwise: object = "") -> None:
        """Say whether a promise was kept; `otherwise` is what was found instead."""
        promise = Promise(text, kept, "" if kept else str(otherwise))
        self.promises.append(promise)
        self._say(f"- {promise.line}")

    def skipped(self, reason: str) -> None:
        """Say why something was not tried."""
        self.not_tried.append(reason)
        self._say(f"- not tried here: {reason}")

    def join(self, others: Iterable[Verdicts]) -> Verdicts:
        """Take in what parts of this attack found."""
        for other in others:
            self.figures += other.figures
            self.promises += other.promises
            self.not_tried += other.not_tried
        return self

    @property
    def broken(self) -> list[str]:
        """The promises that were broken."""
        return [promise.line for promise in self.promises if not promise.kept]

    @property
    def lines(self) -> list[str]:
        """Everything that was found, for people."""
        return [*self.figures, *self.not_tried, *(promise.line for promise in self.promises)]

    def _say(self, line: str) -> None:
        if not self.quiet:
            print(line, flush=True)
