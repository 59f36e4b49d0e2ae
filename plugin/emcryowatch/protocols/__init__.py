"""The monitors."""

from emcryowatch.protocols.protocol_monitor_ctf import CryowatchMonitorCTF
from emcryowatch.protocols.protocol_monitor_movie_gain import CryowatchMonitorMovieGain
from emcryowatch.protocols.protocol_monitor_summary import CryowatchMonitorSummary
from emcryowatch.protocols.protocol_monitor_system import CryowatchMonitorSystem

__all__ = ["CryowatchMonitorCTF", "CryowatchMonitorMovieGain", "CryowatchMonitorSummary", "CryowatchMonitorSystem"]
