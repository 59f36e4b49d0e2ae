"""How a package is built: by hatchling, after a look whether this Python is new enough.

pip would otherwise look for packages that this Python cannot have, and say of each version why not.  This file is read
by any Python 3.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"cryowatch needs Python 3.11 or newer; this is {sys.version_info[0]}.{sys.version_info[1]}.\n"
        "  Rocky, Alma, RHEL 8 and 9:  sudo dnf install python3.11, then python3.11 -m venv ~/cryowatch\n"
        "  Ubuntu 22.04, and others:   uv venv --python 3.11 --seed ~/cryowatch  (https://docs.astral.sh/uv)\n"
        "  conda:                      conda create --prefix ~/cryowatch python=3.12"
    )

from hatchling.build import *  # noqa: F403  the hooks that a build frontend calls
