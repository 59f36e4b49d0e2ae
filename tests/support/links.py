"""Share links as earlier versions made them."""

from __future__ import annotations

import json
from pathlib import Path

from cryowatch.access.key import Key
from cryowatch.access.shares import DAY, FILE_NAME


def earlier_link(folder: Path, key: Key, *, session: str, path: str, now: int) -> str:
    """Put a link that does not say when its project was made into the file (`now`: UTC ms); returns its token."""
    number, until = "0123456789ab", now + DAY
    said = {"session": session, "path": path, "until": until, "created": now, "by": "ada"}
    file = folder / FILE_NAME
    content = json.loads(file.read_text()) if file.exists() else {"shares": {}}
    content["shares"][number] = said
    file.write_text(json.dumps(content))
    return f"{number}.{key.signature('share', number, session, path, str(until), str(now))}"
