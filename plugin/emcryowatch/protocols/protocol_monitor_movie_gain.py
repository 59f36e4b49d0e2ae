"""The monitor of gain residuals."""

from __future__ import annotations

from pyworkflow.protocol import params

from emcryowatch.protocols import form as parts
from emcryowatch.protocols.protocol_monitor import CryowatchMonitor
from emcryowatch.settings import GAIN


class CryowatchMonitorMovieGain(CryowatchMonitor):
    """Watches the gain residuals of one run."""

    _label = "movie gain monitor (cryowatch)"
    _kind = GAIN

    def _defineParams(self, form):
        form.addSection("Input")
        form.addParam(
            "inputProtocol", params.PointerParam, pointerClass="XmippProtMovieGain", label="Input protocol",
            important=True, help="The run that is watched; the monitor ends when it has.",
        )  # fmt: skip
        parts.gain_alarms(form)
        parts.sampling(form, minutes=300)
        parts.mail(form)
        parts.agent(form)

    def _watchedRuns(self):
        run = self.inputProtocol.get()
        return [] if run is None else [run]
