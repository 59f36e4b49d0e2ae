"""The process that renders: requests on its standard input, images on its standard output.

A request is a line of JSON, `[subject, size]` with the subject as `subject.to_json` writes it and, as `project`, the
folder of the project that names it.  The answer is a line of
JSON, `["ok", media type, length, width, height]` (the last two those of the source in pixels, or null) followed by that
many bytes, or `[name of an ImageError, one line]`.  It ends when its input does.
"""

from __future__ import annotations

import json
import os
import resource
import sys

from cryowatch.errors import ImageError
from cryowatch.images.render import render
from cryowatch.images.subject import from_json

NICE = 10
MOST_BYTES = 10**9
"""Of memory: more than twice what the largest picture takes that is decoded (`pictures.MOST_BYTES`)."""


def main() -> None:
    """Answer requests until the input ends."""
    os.nice(NICE)
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = MOST_BYTES if most == resource.RLIM_INFINITY else min(most, MOST_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        subject, size = json.loads(line)
        try:
            picture = render(from_json(subject), size)
        except ImageError as error:
            out.write(json.dumps([type(error).__name__, str(error)]).encode() + b"\n")
        except MemoryError:
            out.write(json.dumps(["ImageUnreadable", "there is not enough memory to show it"]).encode() + b"\n")
        else:
            answer = ["ok", picture.media_type, len(picture.data), picture.width, picture.height]
            out.write(json.dumps(answer).encode() + b"\n" + picture.data)
        out.flush()


if __name__ == "__main__":
    main()
