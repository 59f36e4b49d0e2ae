"""How much tasks have to wait for CPU, memory and disks: the kernel's pressure stall information.

`/proc/pressure/io` holds `some avg10=0.25 avg60=… avg300=… total=…`: the share of the last 10 s in which at least one
task waited, in percent (docs.kernel.org/accounting/psi.html).  Older kernels, and those told `psi=0`, have none.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("/proc/pressure")


def pressure(of: str, folder: Path = FOLDER) -> float | None:
    """Return the share in percent of the last 10 s in which something waited for `cpu`, `memory` or `io`."""
    try:
        words = (folder / of).read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return None
    try:
        share = float(dict(word.partition("=")[::2] for word in words[:5])["avg10"])
    except (KeyError, ValueError):
        return None
    return share if words[0] == "some" and 0 <= share <= 100 else None
