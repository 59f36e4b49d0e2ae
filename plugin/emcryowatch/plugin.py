"""The plugin as Scipion sees it: its variables, and how the agent's environment is made."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pwem

from emcryowatch import bundle
from emcryowatch.constants import CONFIG, DATA_DIR, HOME, VERSION

PACKAGE = "cryowatch"
_ENVIRONMENT = "env"


class Plugin(pwem.Plugin):
    """Monitors that run cryowatch, which has an environment of its own."""

    __module__ = "emcryowatch"  # where Scipion looks for the folder of the plugin
    _supportedVersions = [VERSION]
    _url = ""

    @classmethod
    def _defineVariables(cls):
        cls._defineVar(
            HOME, "", description="Environment that holds bin/cryowatch; else the PATH, else the plugin's own."
        )
        cls._defineVar(CONFIG, "", description="A facility's cryowatch.toml, on which the forms' settings stand.")
        cls._defineVar(DATA_DIR, "", description="Folder on a local disk for the agents' data; else each run's own.")

    @classmethod
    def getEnviron(cls):
        """Return the environment for programs; the agent's is made where it is started."""
        return os.environ.copy()

    @classmethod
    def environment(cls):
        """Return the environment with the plugin's variables in it."""
        return {**os.environ, **{name: cls.getVar(name) or "" for name in (HOME, CONFIG, DATA_DIR)}}

    @classmethod
    def bundled(cls):
        """Return where the installer puts the agent."""
        return Path(pwem.Config.EM_ROOT) / f"{PACKAGE}-{VERSION}" / _ENVIRONMENT / "bin" / "cryowatch"

    @classmethod
    def defineBinaries(cls, env):
        """Let Scipion's installer make the agent's environment, by itself where there is something to make it of."""
        command = f"{shlex.quote(sys.executable)} {shlex.quote(bundle.__file__)} {_ENVIRONMENT}"
        env.addPackage(
            PACKAGE,
            version=VERSION,
            tar="void.tgz",
            commands=[(command, f"{_ENVIRONMENT}/bin/cryowatch")],
            neededProgs=[],
            default=bool(bundle.source(os.environ)) and not os.environ.get(HOME),
        )
