"""Scipion's own summary monitor, once over a project, to the InfluxDB that secrets.cfg names; no images go anywhere.

    EMFACILITIES_HOME=DIR python monitor.py PROJECT LINES

LINES is a file as the gain protocol writes it, of which the monitor is to tell as well.
"""

# ruff: noqa: PLC0415  Scipion wants its domain set before its packages are imported

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace


def main() -> None:
    """Write one pass."""
    import pyworkflow as pw

    pw.Config.setDomain("pwem")
    from emfacilities.protocols import ProtMonitorSummary, report_influx
    from emfacilities.protocols.protocol_monitor_movie_gain import MonitorMovieGain
    from pwem import Domain
    from pyworkflow.project import Project

    report_influx.ReportInflux.transferFiles = lambda _: True
    folder, lines = sys.argv[1:]
    Domain.getPlugins()
    project = Project(Domain, folder)
    project.load(chdir=True)
    monitor = project.newProtocol(ProtMonitorSummary, samplingInterval=10, monitorTime=1, doInflux=True)
    monitor.inputProtocols.set(list(project.getRuns()))
    project.saveProtocol(monitor)
    monitor.makePathsAndClean()
    monitor.doInflux = True
    ctf, host = monitor.createCtfMonitor(), monitor.createSystemMonitor()
    gains = SimpleNamespace(_getPath=lambda name: str(Path(lines).with_name(name)))
    place = monitor.workingDir.get()
    gain = MonitorMovieGain(gains, influx=True, workingDir=place, stddevValue=1, ratio1Value=9, ratio2Value=9)
    report = monitor.createHtmlReport(ctf, host, gain)
    ctf.initLoop()
    host.initLoop()
    ctf.step()
    host.step()
    report.generate(False)


if __name__ == "__main__":
    main()
