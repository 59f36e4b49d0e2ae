"""Writing TOML: texts, numbers, truths, lists of them, and tables; all that is read here is written elsewhere."""

from __future__ import annotations

import json
import re
from typing import Any, Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def written(tables: Mapping[str, Any], *, above: str = "") -> str:
    """Return values and tables as TOML, values first."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in tables.items() if not isinstance(value, Mapping)]
    parts = ["\n".join(lines)] if lines else []
    for key, value in tables.items():
        if isinstance(value, Mapping):
            name = f"{above}{_key(key)}"
            body = written(value, above=f"{name}.")
            has_values = any(not isinstance(inner, Mapping) for inner in value.values())
            parts.append(f"[{name}]\n{body}" if has_values else body)
    return "\n\n".join(part for part in parts if part)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    return _text(str(value))


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
