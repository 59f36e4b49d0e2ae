"""The summary monitor: everything at once."""

from __future__ import annotations

from pyworkflow.protocol import params

from emcryowatch.protocols import form as parts
from emcryowatch.protocols.protocol_monitor import CryowatchMonitor
from emcryowatch.settings import SUMMARY


class CryowatchMonitorSummary(CryowatchMonitor):
    """Watches a session: imports, alignment, CTF estimation, gain residuals and the machine.

    Live pages, alarms, and if wanted InfluxDB for Grafana, mail, and reports as HTML.
    """

    _label = "summary monitor (cryowatch)"
    _kind = SUMMARY

    def _defineParams(self, form):
        form.addSection("Input")
        form.addParam(
            "inputProtocols", params.MultiPointerParam, pointerClass="EMProtocol", label="Input protocols",
            important=True, help="The runs that are watched; the monitor ends when they have.",
        )  # fmt: skip
        parts.sampling(form, minutes=34560)
        form.addSection("MovieGain Monitor")
        parts.gain_alarms(form)
        form.addSection("CTF Monitor")
        parts.ctf_alarms(form, astigmatism=1000)
        form.addSection("System Monitor")
        parts.system_alarms(form)
        parts.devices(form)
        form.addSection("Mail settings")
        parts.mail(form)
        form.addSection("HTML Report")
        form.addParam(
            "doInflux", params.BooleanParam, default=False, label="use grafana/influx",
            help="Write everything to the InfluxDB of $EMFACILITIES_HOME/secrets.cfg, or of the settings file, too.",
        )  # fmt: skip
        form.addParam(
            "publishCmd", params.StringParam, default="", label="Publish command",
            help="A command that is run with each report, every few minutes and at the end. %(REPORT_FOLDER)s in it is "
            "the report's folder. For example: \n"
            "rsync -avL %(REPORT_FOLDER)s scipion@webserver:public_html/",
        )  # fmt: skip
        parts.agent(form)
