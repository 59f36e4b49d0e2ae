"""The CTF monitor."""

from __future__ import annotations

from pyworkflow.protocol import params

from emcryowatch.protocols import form as parts
from emcryowatch.protocols.protocol_monitor import CryowatchMonitor
from emcryowatch.settings import CTF


class CryowatchMonitorCTF(CryowatchMonitor):
    """Watches defocus and astigmatism of one CTF estimation."""

    _label = "ctf monitor (cryowatch)"
    _kind = CTF

    def _defineParams(self, form):
        form.addSection("Input")
        form.addParam(
            "inputProtocol", params.PointerParam, pointerClass="ProtCTFMicrographs", label="Input protocols",
            important=True, help="The run that is watched; the monitor ends when it has.",
        )  # fmt: skip
        parts.sampling(form, minutes=300)
        parts.ctf_alarms(form, astigmatism=2000)
        parts.mail(form)
        parts.agent(form)

    def _watchedRuns(self):
        run = self.inputProtocol.get()
        return [] if run is None else [run]
