"""constraints.txt pins everything that pyproject.toml requires, in versions that it allows, with hashes."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tools.constraints import FILE, name_of, wanted

TEXT = FILE.read_text(encoding="utf-8")
PINNED = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", TEXT, re.MULTILINE))


@pytest.mark.parametrize("requirement", wanted())
def test_what_is_required_is_pinned_in_a_version_that_fits(requirement: str) -> None:
    needed = Requirement(requirement)
    assert Version(PINNED[name_of(needed.name)]) in needed.specifier


def test_each_package_has_hashes_and_no_address_is_named() -> None:
    entries = re.sub(r"#.*\n", "", TEXT).replace(" \\\n", " ").strip().splitlines()
    assert len(entries) == len(PINNED)
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+(\s+--hash=sha256:[0-9a-f]{64})+", entry) for entry in entries)
    assert "/" not in re.sub(r"#.*\n", "", TEXT)
    assert "://" not in TEXT
