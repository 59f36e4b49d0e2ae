"""What a point is called at a server: its measurement and tags, as JSON where they are kept.

Where items of several outputs share these, as in a layout without a tag to tell them apart, `offset` does: it is added
to the times of all but the first one's, in nanoseconds, so that no two points are one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cryowatch.influx.lines import series


@dataclass(frozen=True)
class Series:
    """A measurement with its tags, and an offset; two are equal where these are. `text` is all as JSON."""

    text: str

    @classmethod
    def of(cls, measurement: str, tags: Mapping[str, str], *, offset: int = 0) -> Series:
        """Return a series; an empty tag is none."""
        known = {name: tags[name] for name in sorted(tags) if tags[name]}
        parts = [measurement, known, offset] if offset else [measurement, known]
        return cls(json.dumps(parts, ensure_ascii=False, separators=(",", ":")))

    @cached_property
    def measurement(self) -> str:
        """The measurement's name, as people wrote it."""
        return str(json.loads(self.text)[0])

    @cached_property
    def tags(self) -> Mapping[str, str]:
        """The tags by name, as people wrote them."""
        tags: Mapping[str, str] = json.loads(self.text)[1]
        return tags

    @cached_property
    def offset(self) -> int:
        """What is added to the times of its points, in ns."""
        parts = json.loads(self.text)
        return int(parts[2]) if len(parts) > 2 else 0

    @cached_property
    def beginning(self) -> str:
        """The beginning of its points' lines."""
        return series(self.measurement, self.tags)

    def within(self, measurement: str) -> Series:
        """Return the same tags in a measurement, without an offset."""
        return Series.of(measurement, self.tags)
