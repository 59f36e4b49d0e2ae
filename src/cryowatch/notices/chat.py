"""A message as the JSON that a webhook takes: our own, or as Slack, Mattermost and Teams want it.

What comes from a project is inert in each: in Slack it stands in `plain_text`, where no markup counts; in Teams in text
runs, which know none; in Mattermost, whose text is Markdown, each mark is escaped.  A word joiner, which nobody sees,
parts what would call somebody (`@channel`, `<!here>`) or become a link of its own.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cryowatch import __version__
from cryowatch.notices.message import Entry, Message, cut
from cryowatch.records import Severity

Json = dict[str, Any]

_JOINER = "\u2060"
_CALLS = re.compile(r"(?<=[@<])(?!\u2060)|(?<=:)(?=//)|(?<=\bwww)(?=\.)", re.IGNORECASE)
_MARKS = re.compile(r"([\\`*_\[\]<>#|~&])")
_SLACK_ENTRIES = 20
_SLACK_HEADER = 150
_SLACK_BYTES = 30_000
_MATTERMOST_BYTES = 12_000
_TEAMS_BYTES = 20_000
"""Teams refuses 28 kB and more."""

_TEAMS_STYLES = {Severity.CRITICAL: "attention", Severity.WARNING: "warning", Severity.INFO: "accent"}


def body(shape: str, message: Message) -> Json:
    """Return what is posted in one of the shapes of `webhooks.….shape`."""
    return _SHAPES[shape](message)


def defused(text: str) -> str:
    """Return a text that calls nobody and is no link, and looks the same."""
    return _CALLS.sub(_JOINER, text)


def markdown(text: str) -> str:
    """Return Markdown that shows a text as it is."""
    return _MARKS.sub(r"\\\1", defused(text))


def _json(message: Message) -> Json:
    return {
        "version": 1,
        "source": f"cryowatch {__version__}",
        "id": message.id,
        "time": _iso(message.time),
        "test": message.trial,
        "host": message.context.host,
        "facility": message.context.facility,
        "severity": message.severity.value,
        "subject": message.subject,
        "text": message.plain,
        "url": message.context.page(None) or None,
        "alerts": [_alert(entry) for entry in message.entries],
        "more": message.more,
        "older": message.older,
    }


def _alert(entry: Entry) -> Json:
    return {
        "event": entry.what,
        "severity": entry.severity.value,
        "rule": entry.rule,
        "session": entry.session or None,
        "host": entry.host,
        "subject": entry.subject or None,
        "text": entry.text,
        "detail": entry.detail or None,
        "reason": entry.reason or None,
        "since": _iso(entry.since),
        "until": None if entry.until is None else _iso(entry.until),
        "value": entry.value,
        "limit": entry.limit,
        "unit": entry.unit or None,
        "acknowledged": entry.acknowledged,
        "url": entry.url or None,
    }


def _iso(time: int) -> str:
    return datetime.fromtimestamp(time // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _slack(message: Message) -> Json:
    def written(part: Message) -> Json:
        subject = defused(part.subject)
        blocks: list[Json] = [{"type": "header", "text": _plain(cut(subject, _SLACK_HEADER))}]
        for entry, lines in zip(part.entries, part.bodies, strict=True):
            said = lines[:-1] if entry.url else lines
            blocks.append({"type": "section", "text": _plain(defused("\n".join(said)))})
            if entry.url:
                blocks.append(_slack_link(entry.url, _words(entry)))
        blocks += [{"type": "section", "text": _plain(defused(line))} for line in part.rest]
        if part.context.url and not part.entries:
            blocks.append(_slack_link(part.context.page(None), "Open the pages"))
        blocks.append({"type": "context", "elements": [_plain(defused(part.signature))]})
        return {"text": _slack_escaped(subject), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}

    return _fitting(message.first(_SLACK_ENTRIES), written, _SLACK_BYTES)


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": False}


def _slack_link(url: str, words: str) -> Json:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{_slack_escaped(url)}|{words}>"}]}


def _slack_escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _mattermost(message: Message) -> Json:
    def written(part: Message) -> Json:
        blocks = [f"#### {markdown(part.subject)}"]
        for entry, lines in zip(part.entries, part.bodies, strict=True):
            said = lines[1:-1] if entry.url else lines[1:]
            block = f"**{entry.label}:** {markdown(entry.text)}\n" + "\n".join(markdown(line) for line in said)
            blocks.append(f"{block}\n[{_words(entry)}]({entry.url})" if entry.url else block)
        blocks += [markdown(line) for line in part.rest]
        if part.context.url and not part.entries:
            blocks.append(f"[Open the pages]({part.context.page(None)})")
        blocks.append(f"*{markdown(part.signature)}*")
        return {"text": "\n\n".join(blocks)}

    return _fitting(message, written, _MATTERMOST_BYTES)


def _teams(message: Message) -> Json:
    def written(part: Message) -> Json:
        blocks = [_teams_text((part.subject, {"size": "Medium", "weight": "Bolder"}))]
        for entry, lines in zip(part.entries, part.bodies, strict=True):
            said = lines[1:-1] if entry.url else lines[1:]
            runs = [(f"{entry.label}: ", {"weight": "Bolder"}), (entry.text, {})]
            box: Json = {
                "type": "Container",
                "style": "good" if entry.until is not None else _TEAMS_STYLES[entry.severity],
                "items": [_teams_text(*runs), *(_teams_text((line, {"isSubtle": True})) for line in said)],
            }
            if entry.url:
                box["selectAction"] = {"type": "Action.OpenUrl", "title": _words(entry), "url": entry.url}
            blocks.append(box)
        blocks += [_teams_text((line, {})) for line in part.rest]
        blocks.append(_teams_text((part.signature, {"size": "Small", "isSubtle": True})))
        card: Json = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": blocks,
        }
        if part.context.url:
            url = next((entry.url for entry in part.entries if entry.url), part.context.page(None))
            card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the pages", "url": url}]
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}

    return _fitting(message, written, _TEAMS_BYTES)


def _teams_text(*runs: tuple[str, Json]) -> Json:
    inlines = [{"type": "TextRun", "text": defused(text), **style} for text, style in runs]
    return {"type": "RichTextBlock", "inlines": inlines}


def _words(entry: Entry) -> str:
    return "Open the session" if entry.session_id is not None else "Open the pages"


def _fitting(message: Message, written: Callable[[Message], Json], limit: int) -> Json:
    """Return the message with as many entries as fit into a number of bytes."""
    count = len(message.entries)
    while True:
        found = written(message.first(count))
        if count == 0 or len(json.dumps(found)) <= limit:
            return found
        count = count * 3 // 4


_SHAPES: Mapping[str, Callable[[Message], Json]] = {
    "json": _json,
    "slack": _slack,
    "mattermost": _mattermost,
    "teams": _teams,
}
