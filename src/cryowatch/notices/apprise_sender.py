"""The process that asks Apprise to send one message: Apprise reads whatever a service answers, without an end.

It gets {"address", "title", "body"} as JSON on standard input, within a limit of memory, and answers
{"taken": true|false, "status": the number of an HTTP error or null}.  Whoever started it ends it after some time.
"""

from __future__ import annotations

import json
import resource
import sys

from cryowatch.notices.apprise import Heard, service_of

MEMORY_BYTES = 1_000_000_000


def main() -> None:
    """Send the message."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    asked = json.load(sys.stdin)
    service = service_of(asked["address"], "")
    with Heard() as heard:
        taken = service.notify(title=asked["title"], body=asked["body"], body_format="text")
    sys.stdout.write(json.dumps({"taken": bool(taken), "status": heard.status}))


if __name__ == "__main__":
    main()
