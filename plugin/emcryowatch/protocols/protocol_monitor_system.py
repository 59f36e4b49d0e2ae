"""The monitor of the machine."""

from __future__ import annotations

from pyworkflow.protocol import params

from emcryowatch.protocols import form as parts
from emcryowatch.protocols.protocol_monitor import CryowatchMonitor
from emcryowatch.settings import SYSTEM


class CryowatchMonitorSystem(CryowatchMonitor):
    """Watches the machine's load while some runs are at work."""

    _label = "system monitor (cryowatch)"
    _kind = SYSTEM

    def _defineParams(self, form):
        form.addSection("Input")
        form.addParam(
            "inputProtocols", params.MultiPointerParam, pointerClass="EMProtocol", label="Input protocols",
            important=True, help="The runs during which the machine is watched; the monitor ends when they have.",
        )  # fmt: skip
        parts.sampling(form, minutes=34560)
        parts.system_alarms(form)
        parts.mail(form)
        parts.devices(form)
        parts.agent(form)
