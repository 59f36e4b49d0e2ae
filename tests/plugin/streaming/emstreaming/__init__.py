"""A Scipion plugin for tests: protocols whose outputs grow as a file in the project says."""

import pwem

__version__ = "1.0"
_logo = ""
_references = []


class Plugin(pwem.Plugin):
    """Nothing to install, nothing to set."""

    @classmethod
    def _defineVariables(cls):
        pass

    @classmethod
    def defineBinaries(cls, env):
        """Define none: no program is run."""
