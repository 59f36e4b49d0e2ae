"""Somebody with a browser's cookies, who asks as a page of ours does; and accounts to log in with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
from argon2 import PasswordHasher

from cryowatch.access.accounts import Accounts
from cryowatch.access.role import Role
from cryowatch.records import Severity
from cryowatch.store import Change
from cryowatch.store.alerts import Key, State
from tests.support.serving import SECONDS, Served

PASSWORD = "correct horse battery"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""For tests alone: hashes that cost nothing."""


def add_account(data: Path, name: str, role: Role) -> None:
    data.mkdir(parents=True, exist_ok=True)
    Accounts(data, hasher=QUICK).add(name, role, PASSWORD, now=time.time_ns() // 10**6)


def add_everybody(data: Path) -> None:
    """Make the accounts that most tests log in with: ada, who looks, and grace, who may act."""
    add_account(data, "ada", Role.VIEWER)
    add_account(data, "grace", Role.OPERATOR)


class Person:
    """A client of its own, logged in where a name is given."""

    def __init__(self, served: Served, name: str = "", **options: Any) -> None:
        self.address = served.address
        self.client = httpx2.Client(base_url=served.address, timeout=SECONDS, **options)
        if name:
            answer = self.login(name, PASSWORD)
            assert answer.status_code == 303, answer.text

    def login(self, name: str, password: str, **more: str) -> httpx2.Response:
        return self.post("/login", form={"name": name, "password": password, **more})

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.client.get(path, headers=headers)

    def post(
        self, path: str, content: Any = None, *, form: dict[str, str] | None = None, origin: str | None = None
    ) -> httpx2.Response:
        headers = {"Origin": self.address if origin is None else origin}
        if form is not None:
            return self.client.post(path, data=form, headers=headers)
        return self.client.post(path, json={} if content is None else content, headers=headers)

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    def close(self) -> None:
        self.client.close()


def shared(served: Served, operator: Person, session: str = "demo") -> Person:
    """Return somebody who has opened a link to a session."""
    made = operator.post(f"/api/sessions/{session}/shares", {"days": 3})
    assert made.status_code == 200, made.text
    guest = Person(served)
    answer = guest.get(made.json()["url"].removeprefix(served.address))
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/s/{session}"
    return guest


def raised(served: Served, text: str, *, session: str | None, rule: str) -> int:
    """Raise an alert, of a session or of the machine alone."""
    row = None if session is None else served.store.reader().session(session)
    key = Key(rule=rule, session=None if row is None else row["id"], host="gpu1")
    now = time.time_ns()
    return served.store.ledger().raise_(key, State(severity=Severity.WARNING, text=text), since=now, now=now)


def publish(served: Served) -> None:
    row = served.store.reader().session("demo")
    served.hub.publish(Change(session=row["id"], key=row["key"], seq=row["seq"], generation=row["generation"]))
