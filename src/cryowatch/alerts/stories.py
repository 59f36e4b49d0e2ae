"""What is told as one story: of all that is wrong with one disk, the worst alone.

A disk that fills up breaks one rule after another.  The worse takes the place of the lesser, which ends without a word;
where the worse is over and a lesser rule is still broken, that one takes over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryowatch.alerts.finding import Finding
from cryowatch.alerts.rules import About, Rule
from cryowatch.store.alerts import Key

_STORIES = frozenset({About.FILESYSTEM})


def outranked(standing: Iterable[Finding], rules: Sequence[Rule]) -> set[Key]:
    """Return which of the findings that are alerts, or are to be, stand behind a worse one of the same story.

    The more severe is worse; of the same severity the one whose rule comes later.
    """
    places = {rule.name: place for place, rule in enumerate(rules)}

    def rank(finding: Finding) -> tuple[int, int]:
        return finding.state.severity.weight, places[finding.rule.name]

    stories: dict[tuple[str, str], list[Finding]] = {}
    for finding in standing:
        if finding.rule.about in _STORIES:
            stories.setdefault((finding.key.host, finding.key.subject), []).append(finding)
    return {finding.key for story in stories.values() for finding in sorted(story, key=rank)[:-1]}
