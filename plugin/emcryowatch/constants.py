"""Names that several modules share."""

from __future__ import annotations

VERSION = "0.1.0"
LEAST_AGENT = "0.1.0"
"""The oldest cryowatch that knows all the options and settings that are used here."""

HOME = "CRYOWATCH_HOME"
"""An environment that holds bin/cryowatch."""
PACKAGE = "CRYOWATCH_PACKAGE"
"""What the installer gives to pip: a wheel, a folder or a requirement."""
PYTHON = "CRYOWATCH_PYTHON"
"""The interpreter that the installer makes the environment with."""
CONFIG = "CRYOWATCH_CONFIG"
"""A facility's settings, on which those of each form stand."""
DATA_DIR = "CRYOWATCH_DATA_DIR"
"""A folder on a local disk, in which each run gets one of its own."""
SECRETS_HOME = "EMFACILITIES_HOME"
"""The folder of secrets.cfg, as for Scipion's own monitors."""

CONFIG_NAME = "cryowatch.toml"
LOG_NAME = "cryowatch.log"
STATE_NAME = "cryowatch.json"
URL_NAME = "cryowatch.url"
REPORT_NAME = "report"
COMMAND_NAME = "cryowatch-publish.txt"
