"""What Grafana makes of a query before InfluxDB gets it: variables in the browser, macros in its server."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")
_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
"""`escapeRegex` of @grafana/data."""
_LUCENE = re.compile(r"""[!*+\-=<>\s&|()\[\]{}^~?:\\/"]""")
"""What the format `lucene` escapes in what is no number."""


def _lucene(text: str) -> str:
    try:
        float(text.strip() or "0")
    except ValueError:
        return _LUCENE.sub(r"\\\g<0>", text)
    return text


def expand(query: str, variables: Mapping[str, str], *, start: int, stop: int, interval: int = 60) -> str:
    """Return a query for a window in seconds and an interval in seconds; raises KeyError for an unknown variable."""

    def value(match: re.Match[str]) -> str:
        name, form = match.groups()
        if name == "__to":
            return str(stop * 1000)
        text = variables[name]
        return {"regex": lambda: _SPECIAL.sub(r"\\\g<0>", text), "lucene": lambda: _lucene(text)}[form]()

    text = _VARIABLE.sub(value, query)
    text = text.replace("$timeFilter", f"time >= {start * 1000}ms and time <= {stop * 1000}ms")
    return text.replace("$__interval_ms", str(interval * 1000)).replace("$__interval", f"{interval}s")
