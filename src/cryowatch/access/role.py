"""What an account may do."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What an account may do: look, or also see to alerts, mute them, and share sessions."""

    VIEWER = "viewer"
    OPERATOR = "operator"
