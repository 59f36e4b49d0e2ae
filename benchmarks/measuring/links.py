"""`links.py SCRIPT …`: run a script as if files could have any number of names; ext4 allows 65,000.

Scipion imports movies as links, and the benchmarks' projects have one movie for all their items.
"""

import errno
import os
import runpy
import shutil
import sys

_link = os.link
_newest: dict[str, str] = {}


def link(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Link as `os.link` does; where the file has as many names as it may, copy it and link to the copy from then on."""
    name = os.fspath(source)
    try:
        _link(_newest.get(name, name), target)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        shutil.copyfile(name, target)
        _newest[name] = os.path.abspath(target)  # noqa: PTH100  a script's folder may change


if __name__ == "__main__":
    os.link = link  # type: ignore[assignment]
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
