"""The page *Troubleshooting* quotes what the program really prints."""

from __future__ import annotations

import re

import pytest

from tests.setup.machine import Outcome
from tests.setup.troubles import CAUSES, ELSEWHERE, FOREIGN
from tests.support.docs import ROOT

PAGE = ROOT / "docs/troubles.md"
pytestmark = pytest.mark.timeout(900)


def quoted() -> list[str]:
    """Return the messages with which rows of the page begin."""
    return re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def within(message: str, text: str) -> bool:
    """Return whether a text holds a message, in which … is something else, on whatever lines it stands."""
    parts = [re.escape(part) for part in message.split("…")]
    return re.search(".+".join(parts).replace(r"\ ", r"\s+"), text) is not None


def test_every_message_of_the_page_comes_from_somewhere() -> None:
    assert len(quoted()) > 20
    known = {message for message, _ in CAUSES} | set(ELSEWHERE) | set(FOREIGN)
    assert set(quoted()) == known


@pytest.mark.parametrize("message", [message for message, _ in CAUSES])
def test_the_program_prints_it(outcome: Outcome, message: str) -> None:
    assert within(message, outcome.troubles[message]), outcome.troubles[message]


@pytest.mark.parametrize("message", ELSEWHERE)
def test_what_needs_another_machine_is_in_the_program(message: str) -> None:
    text = (ROOT / ELSEWHERE[message]).read_text(encoding="utf-8")
    assert all(part in text for part in message.split("…"))
