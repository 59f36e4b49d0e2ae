"""What Grafana makes of a query before InfluxDB gets it: variables in the browser, macros in its server.

The data source escapes what it puts in for a variable where it takes the variable to stand in a regular expression.
What it takes for one has changed four times (`RULES`), and a macro is a variable that stands for itself there: so a
division by `$__interval_ms` may reach InfluxDB as one by `\\$__interval_ms`, which it does not understand.  A variable
with a format, as `${project:regex}`, is written by that format alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)", re.ASCII)
_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
"""`escapeRegex` of @grafana/data."""
_LUCENE = re.compile(r"""[!*+\-=<>\s&|()\[\]{}^~?:\\/"]""")
"""What the format `lucene` escapes in what is no number."""
_LITERAL = r"/(?![*+?])(?:[^\r\n\[/\\]|\\.|\[(?:[^\r\n\]\\]|\\.)*\])+/"
"""A regular expression as JavaScript writes it, within a line."""

_TOKENS = r"""(?P<space>\s+)|(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?P<word>[\w$]+)|(?P<other>.)"""
_TOKEN = re.compile(rf"(?P<literal>(?!))|{_TOKENS}")
_TOKEN_OR_LITERAL = re.compile(rf"(?P<literal>/(?:\\.|[^/\n\\])*/?)|{_TOKENS}")

Rule = Callable[[str, str], bool]
"""Whether the data source takes the variable of this name to stand in a regular expression of a query."""


def _between_slashes(text: str, name: str) -> bool:
    """Return whether a line has a slash before and after the variable."""
    return re.search(rf"/.*\${name}.*/", text) is not None


def _in_a_literal(query: str, name: str) -> bool:
    return any(_between_slashes(literal, name) for literal in re.findall(_LITERAL, query))


def _in_a_compared_literal(query: str, name: str) -> bool:
    return any(_between_slashes(literal, name) for literal in re.findall(rf"[=!]~\s*({_LITERAL})", query))


def _beside_an_expression(query: str, name: str) -> bool:
    return _between_slashes(query, name) and any(map(_compiles, re.findall(r"(?<=/).+?(?=/)", query)))


def _in_an_expression(query: str, name: str) -> bool:
    """Return whether the variable is in a literal, which begins where no operand stands before the slash."""
    operand, place = False, 0
    while place < len(query):
        token = (_TOKEN if operand else _TOKEN_OR_LITERAL).match(query, place)
        assert token is not None
        if token["literal"] and f"${name}" in token["literal"]:
            return True
        if not token["space"]:
            word = (token["word"] or "").lower()
            operand = word not in ("select", "from", "by") if word else token[0][-1] in ")]}" or token["other"] is None
        place = token.end()
    return False


def _compiles(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


RULES: Mapping[str, Rule] = {
    "10.3-11.5.2": _between_slashes,
    "11.5.3-11.6.3": _in_a_literal,
    "11.6.4-12.2.0": _in_a_compared_literal,
    "12.2.1-13.1": _beside_an_expression,
    "13.2": _in_an_expression,
}
"""By the versions that have them; 12.0.0-12.0.2 have the second, 12.1.3 and newer 12.1 the last but one."""


def _lucene(text: str) -> str:
    try:
        float(text.strip() or "0")
    except ValueError:
        return _LUCENE.sub(r"\\\g<0>", text)
    return text


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def expand(
    query: str,
    variables: Mapping[str, str],
    *,
    start: int,
    stop: int,
    interval: int = 60,
    rule: Rule = _between_slashes,
    times: int = 1,
) -> str:
    """Return a query for a window in seconds and an interval in seconds; raises KeyError for an unknown `${variable}`.

    `times`: Grafana's browser part goes over the query of a variable twice in some versions.
    """
    known = {**variables, "__to": str(stop * 1000), "__interval": "$__interval", "__interval_ms": "$__interval_ms"}

    def value(match: re.Match[str]) -> str:
        name, form, plain = match.groups()
        if plain is not None and plain not in known:
            return match[0]
        text = known[plain or name]
        if form is not None:
            return {"regex": _escaped, "lucene": _lucene}[form](text)
        number = re.match(r"\s*[-+]?\.?\d", text) is not None
        return _escaped(text) if not number and rule(asked, plain or name) else text

    text = query
    for _ in range(times):
        asked = text
        text = _VARIABLE.sub(value, text)
    text = text.replace("$timeFilter", f"time >= {start * 1000}ms and time <= {stop * 1000}ms")
    text = text.replace("$interval", f"{interval}s")
    return text.replace("$__interval_ms", str(interval * 1000)).replace("$__interval", f"{interval}s")


def values_of(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """Return what Grafana 10.3 and newer lists as the values of a variable, of the rows of its query's answer.

    Each column but the time (and the key, of tags) is a frame of its own, and the values of all frames are put into
    one list, each once.
    """
    rows = [{k: v for k, v in row.items() if k not in ("time", "measurement", "key")} for row in rows]
    columns = dict.fromkeys(name for row in rows for name in row)
    return list(dict.fromkeys(str(row[name]) for name in columns for row in rows if row.get(name) is not None))
