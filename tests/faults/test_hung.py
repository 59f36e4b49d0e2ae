"""The quick part of a file system that hangs under one project."""

from __future__ import annotations

import pytest

from faults.hung import hung, why_not


@pytest.mark.timeout(240)
@pytest.mark.skipif(bool(why_not()), reason="only root can mount a file system that hangs")
def test_a_file_system_that_hangs_under_one_project_holds_up_neither_the_others_nor_the_end() -> None:
    found = hung(1, brief=True, quiet=True)
    assert not found.broken, "\n".join(found.lines)
