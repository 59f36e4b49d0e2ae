"""Watch cryo-EM sessions while they run: from the processing software's files to live pages."""

import os

__version__ = "0.1.0"

# Looking for plugins of pydantic, of which cryowatch has none, reads the metadata of every package that is installed.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
