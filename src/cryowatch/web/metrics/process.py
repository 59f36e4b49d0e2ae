"""The agent's own process, under the names that Prometheus' client libraries give these values on every service.

The processes that render images are its children, and are not counted.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator

import psutil

from cryowatch.web.metrics.text import Kind, family


def process_metrics() -> Iterator[str]:
    """Yield the families of this process."""
    process = psutil.Process()
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        started, descriptors = process.create_time(), process.num_fds()
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found: tuple[tuple[str, Kind, str, float], ...] = (
        ("cpu_seconds_total", "counter", "Time on the CPU, of user and system, in seconds.", times.user + times.system),
        ("resident_memory_bytes", "gauge", "Resident memory size in bytes.", memory.rss),
        ("virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", memory.vms),
        ("start_time_seconds", "gauge", "Start time of the process since the Unix epoch in seconds.", started),
        ("open_fds", "gauge", "Number of open file descriptors.", descriptors),
        ("max_fds", "gauge", "Most file descriptors that may be open.", _limit(most)),
    )
    for name, kind, text, value in found:
        yield family(f"process_{name}", kind, text, [({}, value)])


def _limit(most: int) -> float:
    return float("inf") if most == resource.RLIM_INFINITY else most
