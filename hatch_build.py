"""Build hook: put Apache ECharts, which the pages draw with, into the package.

The repository holds no copy.  A wheel or an editable install takes the package from npm, in the version and with the
integrity that stand below, into `src/cryowatch/web/static/vendor`, and not again while it lies there unchanged.
A source distribution holds no copy either; a wheel built from it fetches one.

To move to another version, change `version` and `integrity` (`npm view echarts@VERSION dist.integrity`).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))  # a build frontend reads this file by its path alone

from npm_packages import NPM_FROM_PYPI, Package, Unavailable

ECHARTS = Package(
    name="echarts",
    version="6.1.0",
    integrity="sha512-q0yaFPggC9FUdsWH4blavRWFmxdrIodbkoKNAjJudAI6CA9gNPxHtV2RcZNEepZVlk4yvBYkOkbk6HIVpIyHZA==",
    members={
        "package/dist/echarts.esm.min.js": "echarts.esm.min.js",
        "package/LICENSE": "LICENSE",
        "package/NOTICE": "NOTICE",
        "package/licenses/LICENSE-d3": "LICENSE-d3",
    },
)
VENDOR = "src/cryowatch/web/static/vendor"


class EChartsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Fetches Apache ECharts before a wheel or an editable install is made."""

    def dependencies(self) -> list[str]:
        """Ask for an npm only where one is needed and the machine has none."""
        if ECHARTS.is_in(Path(self.root) / VENDOR) or shutil.which("npm"):
            return []
        return [NPM_FROM_PYPI]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch what is not there, and have it packed although git ignores it."""
        del version
        vendor = Path(self.root) / VENDOR
        if not ECHARTS.is_in(vendor):
            try:
                ECHARTS.fetch(vendor)
            except Unavailable as error:
                sys.exit(f"cryowatch: {error}; nothing was built")
        build_data["artifacts"].append(f"/{VENDOR}/*")
