"""The machine that the agent runs on: its load, networks, disks, file systems and GPUs."""

from cryowatch.sources.host.filesystems import FileSystems
from cryowatch.sources.host.source import EVERYTHING, HostSource, Parts

__all__ = ["EVERYTHING", "FileSystems", "HostSource", "Parts"]
