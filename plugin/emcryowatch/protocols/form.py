"""The parameters of the forms, named and preset like those of scipion-em-facilities' monitors."""

from __future__ import annotations

from pyworkflow.protocol import params

from emcryowatch import interfaces
from emcryowatch.settings import MAIL_SECURITY


def sampling(form, minutes):
    """Add how often to look, and for how long."""
    form.addParam(
        "samplingInterval", params.IntParam, default=60, label="Sampling Interval (sec)",
        help="Seconds between two looks at the runs and two samples of the machine.",
    )  # fmt: skip
    form.addParam(
        "monitorTime", params.FloatParam, default=minutes, label="Total Logging time (min)",
        help="Minutes after which the monitor ends, though the runs may go on.",
    )  # fmt: skip


def gain_alarms(form):
    """Add the limits of gain residuals."""
    for name, preset, what in (
        ("stddevValue", 0.04, "standard deviation of the residual gain"),
        ("ratio1Value", 1.15, "ratio of the 97.5 and 2.5 percentiles"),
        ("ratio2Value", 4.5, "ratio of the maximum and the 97.5 percentile"),
    ):
        form.addParam(
            name, params.FloatParam, default=preset, label=f"Raise Alarm if {what} >",
            help="An alarm is raised when of the last 5 residuals fewer than a quarter lie below this.",
        )  # fmt: skip


def ctf_alarms(form, astigmatism):
    """Add the limits of defocus and astigmatism, in Å."""
    for name, preset, label in (
        ("maxDefocus", 40000, "Raise Alarm if maximum defocus (A) >"),
        ("minDefocus", 1000, "Raise Alarm if minimum defocus (A) <"),
        ("astigmatism", astigmatism, "Raise Alarm if astigmatism (A) >"),
    ):
        form.addParam(
            name, params.FloatParam, default=preset, label=label,
            help="An alarm is raised when of the last 25 micrographs fewer than a quarter lie within the limits. "
            "Defocus is the mean of defocusU and defocusV, astigmatism their difference.",
        )  # fmt: skip


def system_alarms(form):
    """Add the limits of the machine's load, in percent."""
    for name, label in (("cpuAlert", "CPU"), ("memAlert", "Memory"), ("swapAlert", "Swap")):
        form.addParam(
            name, params.FloatParam, default=101, label=f"Raise Alarm if {label} > XX%",
            help="An alarm is raised when the mean of some minutes lies above this; 100 and more: never.",
        )  # fmt: skip


def devices(form):
    """Add what of the machine is sampled besides processor and memory."""
    group = form.addGroup("GPU")
    group.addParam(
        "doGpu", params.BooleanParam, default=False, label="Check GPU", help="Sample the graphics cards, too."
    )
    group.addParam(
        "gpusToUse", params.StringParam, default="0", label="Which GPUs to use:", condition="doGpu",
        help='Their numbers, like "0 1 2 3".',
    )  # fmt: skip
    group = form.addGroup("NETWORK")
    group.addParam(
        "doNetwork", params.BooleanParam, default=False, label="Check Network",
        help="Sample what comes and goes through a network interface, too.",
    )  # fmt: skip
    group.addParam(
        "netInterfaces", params.EnumParam, choices=interfaces.names(), default=1, label="Interface",
        condition="doNetwork", help="The interface; the first one is usually the machine's own loop.",
    )  # fmt: skip
    group = form.addGroup("Disk")
    group.addParam(
        "doDiskIO", params.BooleanParam, default=False, label="Check Disk IO",
        help="Sample what disks read and write, too. Free space always is.",
    )  # fmt: skip


def mail(form):
    """Add where alarms are sent to."""
    group = form.addGroup("Email settings")
    group.addParam(
        "doMail", params.BooleanParam, default=False, label="Enable Email notification?", help="Tell of alarms by mail."
    )
    for name, preset, label, text in (
        ("emailFrom", "from@from.fakeadress.com", "From", "Address that the mail comes from."),
        ("emailTo", "to@to.fakeadress.com", "To", "Addresses that it goes to, with commas between them."),
        ("smtp", "smtp.fakeadress.com", "SMTP Mail server", "Name of the mail server, or name:port."),
    ):
        group.addParam(name, params.StringParam, condition="doMail", default=preset, label=label, help=text)
    group.addParam(
        "mailSecurity", params.EnumParam, choices=list(MAIL_SECURITY), default=0, condition="doMail",
        label="Encryption", expertLevel=params.LEVEL_ADVANCED,
        help="How the line to the mail server is protected; default: as the settings file says, which also holds "
        "account and password, and not at all without such a file.",
    )  # fmt: skip


def agent(form):
    """Add what is cryowatch's own."""
    form.addSection("cryowatch")
    form.addParam(
        "pagesPort", params.IntParam, default=0, label="Port of the pages",
        help="0: any free one. The address is in the run's summary.",
    )  # fmt: skip
    form.addParam(
        "configFile", params.FileParam, default="", label="Settings file", expertLevel=params.LEVEL_ADVANCED,
        help="A cryowatch.toml for what is not in this form, like accounts for mail, webhooks or the facility's name; "
        "what this form says counts first. Empty: $CRYOWATCH_CONFIG, where that is set.",
    )  # fmt: skip
    form.addParam(
        "patience", params.FloatParam, default=10, label="Patience at the end (min)",
        expertLevel=params.LEVEL_ADVANCED,
        help="Minutes for which servers that are away are waited for when everything has ended.",
    )  # fmt: skip
