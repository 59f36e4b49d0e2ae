"""The process that renders: requests on its standard input, images on its standard output.

A request is a line of JSON `[path, kind, size]`.  The answer is a line of JSON, `["ok", media type, length]` followed
by that many bytes, or `[name of an ImageError, one line]`.  It ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from cryowatch.errors import ImageError
from cryowatch.images.render import render
from cryowatch.model import ImageKind

NICE = 10


def main() -> None:
    """Answer requests until the input ends."""
    os.nice(NICE)
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        path, kind, size = json.loads(line)
        try:
            data, media_type = render(Path(path), ImageKind(kind), size)
        except ImageError as error:
            out.write(json.dumps([type(error).__name__, str(error)]).encode() + b"\n")
        except MemoryError:
            out.write(json.dumps(["ImageUnreadable", "there is not enough memory to show it"]).encode() + b"\n")
        else:
            out.write(json.dumps(["ok", media_type, len(data)]).encode() + b"\n" + data)
        out.flush()


if __name__ == "__main__":
    main()
