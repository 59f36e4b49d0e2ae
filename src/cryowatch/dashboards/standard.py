"""The five dashboards: Summary, CTF, Gain, System, Gallery.

Their uids are those of the dashboards that facilities run today (grafana.com 12351-12355), so that links and bookmarks
go on working.  The limits are the ones in use at facilities: defocus 0.1–4.0 µm, astigmatism 1000 Å (100 nm), CTF
resolution 6 Å (RELION on the fly), gain residual 0.04, 1.15 and 4.5 (Scipion's summary monitor).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryowatch.dashboards.definition import Aggregate, Bins, Dashboard, Limit, Panel, PanelKind, Variable
from cryowatch.errors import NotFoundError

DEFOCUS = Limit(field="defocus", low=0.1, high=4.0, variable="defocus_max")
RESOLUTION = Limit(field="resolution", high=6.0, variable="resolution_max")
ASTIGMATISM = Limit(field="astigmatism", high=100.0, variable="astigmatism_max")

_VARIABLES = (
    Variable(name="defocus_max", label="Defocus below", field="defocus", value=4.0, low=0.1, high=20.0, step=0.1),
    Variable(
        name="resolution_max", label="Resolution below", field="resolution", value=6.0, low=1.0, high=50.0, step=0.1
    ),
    Variable(
        name="astigmatism_max",
        label="Astigmatism below",
        field="astigmatism",
        value=100.0,
        low=1.0,
        high=1000.0,
        step=1,
    ),
)

_JUDGED_BY = (DEFOCUS, RESOLUTION, ASTIGMATISM)
_GOOD = Panel(
    id="good", title="Good micrographs", kind=PanelKind.STAT, record="micrograph", aggregate=Aggregate.GOOD,
    limits=_JUDGED_BY, width=12, height=2,
    text="Estimated micrographs that keep all limits: of defocus, resolution and astigmatism.",
)  # fmt: skip

_QUALITY = (
    Panel(
        id="defocus-share", title="Defocus in limits", kind=PanelKind.STAT, record="micrograph", fields=("defocus",),
        aggregate=Aggregate.SHARE, limits=(DEFOCUS,), width=4, height=2,
        text="Share of the estimated micrographs whose mean defocus is from 0.1 µm to the limit; no fit is outside.",
    ),
    Panel(
        id="resolution-share", title="Resolution in limits", kind=PanelKind.STAT, record="micrograph",
        fields=("resolution",), aggregate=Aggregate.SHARE, limits=(RESOLUTION,), width=4, height=2,
        text="Share of the estimated micrographs whose CTF fits to the limit or better; no fit is outside.",
    ),
    Panel(
        id="astigmatism-share", title="Astigmatism in limits", kind=PanelKind.STAT, record="micrograph",
        fields=("astigmatism",), aggregate=Aggregate.SHARE, limits=(ASTIGMATISM,), width=4, height=2,
        text="Share of the estimated micrographs whose two defoci differ by the limit or less; no fit is outside.",
    ),
)  # fmt: skip

_OVER_TIME = {
    "defocus": Panel(
        id="defocus-over-time", title="Defocus", kind=PanelKind.TIME_SERIES, record="micrograph", fields=("defocus",),
        limits=(DEFOCUS,), text="Mean defocus of each micrograph, (U + V) / 2.",
    ),
    "resolution": Panel(
        id="resolution-over-time", title="Resolution", kind=PanelKind.TIME_SERIES, record="micrograph",
        fields=("resolution",), limits=(RESOLUTION,), text="Resolution up to which the CTF fits; lower is better.",
    ),
    "astigmatism": Panel(
        id="astigmatism-over-time", title="Astigmatism", kind=PanelKind.TIME_SERIES, record="micrograph",
        fields=("astigmatism",), limits=(ASTIGMATISM,), text="Difference of the two defoci of each micrograph.",
    ),
}  # fmt: skip

SUMMARY = Dashboard(
    name="summary",
    uid="oYW5BSeWz",
    title="Summary",
    refresh_seconds=5,
    window_seconds=6 * 3600,
    variables=_VARIABLES,
    panels=(
        Panel(
            id="alerts", title="Alerts", kind=PanelKind.TABLE, record="alert", width=12, height=2, rows=20,
            fields=("severity", "text", "since", "until"), text="What is wrong now, and what was lately.",
        ),
        _GOOD,
        Panel(
            id="quality", title="Quality", kind=PanelKind.STAT, record="micrograph", aggregate=Aggregate.MEDIAN,
            fields=("defocus", "resolution", "astigmatism", "motion_total"), limits=(DEFOCUS, RESOLUTION, ASTIGMATISM),
            width=12, height=2, text="Medians with quartiles, and the share within limits.",
        ),
        _OVER_TIME["defocus"],
        _OVER_TIME["resolution"],
        Panel(
            id="progress", title="Progress", kind=PanelKind.STAT, record="output", aggregate=Aggregate.PROGRESS,
            width=12, height=2, text="What each stage has produced, and how long ago it produced the newest.",
        ),
        Panel(
            id="newest", title="Newest micrograph", kind=PanelKind.GALLERY, record="micrograph", rows=1, width=5,
            height=7, text="The last one whose CTF was estimated.",
        ),
        Panel(
            id="throughput", title="Throughput", kind=PanelKind.TIME_SERIES, record="output", style="bars",
            aggregate=Aggregate.RATE, width=7, height=4, text="Items that each stage finished, per hour.",
        ),
        Panel(
            id="properties", title="Session", kind=PanelKind.TABLE, record="session", width=4, height=3,
            fields=("name", "status", "created", "host", "path", "software"), text="What is known of the session.",
        ),
        Panel(
            id="acquisition", title="Acquisition", kind=PanelKind.TABLE, record="session", width=3, height=3,
            fields=("voltage", "spherical_aberration", "magnification", "pixel_size", "dose_per_frame"),
            text="How the microscope was set, as the import was told.",
        ),
        Panel(
            id="runs", title="Runs", kind=PanelKind.TABLE, record="run", width=12, height=4,
            fields=(
                "label", "class_name", "status", "output", "size", "last_hour", "newest", "started", "took", "error",
            ),
            text="Every run of the project with what it has produced.",
        ),
    ),
)  # fmt: skip

CTF = Dashboard(
    name="ctf",
    uid="Dcl-hZeWk",
    title="CTF",
    window_seconds=12 * 3600,
    variables=_VARIABLES,
    panels=(
        _GOOD,
        *_QUALITY,
        _OVER_TIME["defocus"],
        _OVER_TIME["resolution"],
        Panel(
            id="defocus-histogram", title="Defocus histogram", kind=PanelKind.HISTOGRAM, record="micrograph",
            fields=("defocus",), bins=Bins(start=0, stop=6, step=0.1), limits=(DEFOCUS,), width=4,
            text="How often each defocus occurs; the last 50 micrographs stand out.",
        ),
        Panel(
            id="resolution-histogram", title="Resolution histogram", kind=PanelKind.HISTOGRAM, record="micrograph",
            fields=("resolution",), bins=Bins(start=2, stop=20, step=0.25), limits=(RESOLUTION,), width=4,
            text="How often each resolution occurs; the last 50 micrographs stand out.",
        ),
        Panel(
            id="astigmatism-histogram", title="Astigmatism histogram", kind=PanelKind.HISTOGRAM, record="micrograph",
            fields=("astigmatism",), bins=Bins(start=0, stop=250, step=5), limits=(ASTIGMATISM,), width=4,
            text="How often each astigmatism occurs; the last 50 micrographs stand out.",
        ),
        Panel(
            id="compare", title="Last 50 against all", kind=PanelKind.TABLE, record="micrograph",
            aggregate=Aggregate.COMPARE, width=12, height=4,
            fields=("defocus", "resolution", "astigmatism", "phase_shift", "fit_quality", "motion_total"),
            limits=(DEFOCUS, RESOLUTION, ASTIGMATISM),
            text="Whether the session is getting better or worse: medians and quartiles.",
        ),
        Panel(
            id="defocus-map", title="Defocus over time", kind=PanelKind.HEAT_MAP, record="micrograph",
            fields=("defocus",), bins=Bins(start=0, stop=6, step=0.2), text="Micrographs by time and defocus.",
        ),
        Panel(
            id="resolution-map", title="Resolution over time", kind=PanelKind.HEAT_MAP, record="micrograph",
            fields=("resolution",), bins=Bins(start=2, stop=20, step=0.5), text="Micrographs by time and resolution.",
        ),
        _OVER_TIME["astigmatism"],
        Panel(
            id="astigmatism-by-angle", title="Astigmatism by angle", kind=PanelKind.SCATTER, record="micrograph",
            fields=("defocus_angle", "astigmatism"), limits=(ASTIGMATISM,),
            text="A cloud round one angle shows an astigmatic objective lens.",
        ),
        Panel(
            id="phase-shift-over-time", title="Phase shift", kind=PanelKind.TIME_SERIES, record="micrograph",
            fields=("phase_shift",), limits=(Limit(field="phase_shift", low=0, high=180),),
            text="Only where a phase plate was in use.",
        ),
        Panel(
            id="fit-quality-over-time", title="Fit quality", kind=PanelKind.TIME_SERIES, record="micrograph",
            fields=("fit_quality",), text="Figure of merit of the fit; compare it only within a session.",
        ),
        Panel(
            id="ratio-over-time", title="U / V", kind=PanelKind.TIME_SERIES, record="micrograph", fields=("ratio",),
            text="Ratio of the two defoci; 1 without astigmatism.",
        ),
        Panel(
            id="motion-over-time", title="Motion", kind=PanelKind.TIME_SERIES, record="micrograph",
            fields=("motion_total", "motion_early", "motion_late"), text="How far the sample moved during the movie.",
        ),
    ),
)  # fmt: skip

_GAIN_LIMITS = (
    Limit(field="stddev", high=0.04),
    Limit(field="ratio1", high=1.15),
    Limit(field="ratio2", high=4.5),
)

GAIN = Dashboard(
    name="gain",
    uid="QIlzBA6Zz",
    title="Gain",
    refresh_seconds=30,
    window_seconds=3 * 3600,
    panels=(
        Panel(
            id="gain-latest", title="Newest residual", kind=PanelKind.STAT, record="gain", aggregate=Aggregate.LATEST,
            fields=("stddev", "ratio1", "ratio2"), limits=_GAIN_LIMITS, width=12, height=2,
            text="How far the newest movie is from its gain reference.",
        ),
        *(
            Panel(
                id=f"gain-{limit.field}", title=title, kind=PanelKind.TIME_SERIES, record="gain", fields=(limit.field,),
                limits=(limit,), width=4, text=text,
            )
            for limit, title, text in zip(
                _GAIN_LIMITS,
                ("Standard deviation", "p97.5 / p2.5", "max / p97.5"),
                ("Of the residual gain.", "Spread of the residual gain.", "Hot pixels that the reference leaves."),
                strict=True,
            )
        ),
        Panel(
            id="gain-table", title="Movies", kind=PanelKind.TABLE, record="gain", rows=200, width=12, height=5,
            fields=("time", "movie", "stddev", "ratio1", "ratio2"), limits=_GAIN_LIMITS, text="Newest first.",
        ),
    ),
)  # fmt: skip

SYSTEM = Dashboard(
    name="system",
    uid="Vv8YVFeZz",
    title="System",
    refresh_seconds=10,
    window_seconds=24 * 3600,
    panels=(
        Panel(
            id="host-latest", title="Now", kind=PanelKind.STAT, record="host", aggregate=Aggregate.LATEST,
            fields=("cpu", "memory", "swap", "load", "cores"), width=12, height=2,
            limits=(Limit(field="memory", high=95), Limit(field="swap", high=80)),
            text="The machine that the agent runs on; a mark stands where an alert rule judges.",
        ),
        Panel(
            id="file-systems", title="File systems", kind=PanelKind.TABLE, record="device", device="filesystem",
            fields=("device", "used", "full_in", "free", "total"), width=12, height=4,
            limits=(Limit(field="used", high=90, critical=95), Limit(field="full_in", low=4, critical=1)),
            text="Those that hold the projects and cryowatch's own data, and when they will be full at this rate.",
        ),
        Panel(
            id="host-load", title="CPU, memory and swap", kind=PanelKind.TIME_SERIES, record="host", style="lines",
            fields=("cpu", "memory", "swap"), text="In percent of what the machine has.",
        ),
        Panel(
            id="host-queue", title="Load", kind=PanelKind.TIME_SERIES, record="host", style="lines", fields=("load",),
            text="Processes that run or wait to, over the last minute; as many as cores keep the machine busy.",
        ),
        Panel(
            id="host-pressure", title="Pressure", kind=PanelKind.TIME_SERIES, record="host", style="lines",
            fields=("pressure_cpu", "pressure_memory", "pressure_io"),
            text="Share of the time in which some process had to wait for CPU, memory or disks.",
        ),
        Panel(
            id="disk-space", title="Disk space", kind=PanelKind.TIME_SERIES, record="device", style="lines",
            device="filesystem", fields=("used",), limits=(Limit(field="used", high=90, critical=95),),
            text="Of the file systems that hold the projects and cryowatch's own data.",
        ),
        Panel(
            id="disk-rates", title="Disk", kind=PanelKind.TIME_SERIES, record="device", style="lines", device="disk",
            fields=("read", "written"), text="Data read from and written to each disk.",
        ),
        Panel(
            id="network-rates", title="Network", kind=PanelKind.TIME_SERIES, record="device", style="lines",
            device="network", fields=("sent", "received"), text="Traffic of each interface.",
        ),
        Panel(
            id="gpus", title="GPUs", kind=PanelKind.TABLE, record="device", device="gpu", width=12, height=5,
            fields=("device", "use", "memory", "temperature", "power", "processes"),
            limits=(Limit(field="temperature", high=90),), text="Each GPU now.",
        ),
        Panel(
            id="gpu-use", title="GPU use", kind=PanelKind.TIME_SERIES, record="device", style="lines", device="gpu",
            fields=("use",), text="Of the compute units of each GPU.",
        ),
        Panel(
            id="gpu-memory", title="GPU memory", kind=PanelKind.TIME_SERIES, record="device", style="lines",
            device="gpu", fields=("memory",), text="In use on each GPU.",
        ),
        Panel(
            id="gpu-temperature", title="GPU temperature", kind=PanelKind.TIME_SERIES, record="device", style="lines",
            device="gpu", fields=("temperature",), limits=(Limit(field="temperature", high=90),), text="Of each GPU.",
        ),
        Panel(
            id="gpu-power", title="GPU power", kind=PanelKind.TIME_SERIES, record="device", style="lines",
            device="gpu", fields=("power",), text="Of each GPU.",
        ),
    ),
)  # fmt: skip

GALLERY = Dashboard(
    name="gallery",
    uid="50ya60eZz",
    title="Gallery",
    refresh_seconds=10,
    panels=(
        Panel(
            id="gallery", title="Micrographs", kind=PanelKind.GALLERY, record="micrograph", width=12, height=8,
            fields=(
                "defocus", "astigmatism", "resolution", "fit_quality", "phase_shift", "ratio", "motion_total",
                "defocus_angle", "time",
            ),
            limits=(DEFOCUS, RESOLUTION, ASTIGMATISM), text="Micrograph, power spectrum, shift plot and numbers.",
        ),
    ),
    variables=_VARIABLES,
)  # fmt: skip

STANDARD: tuple[Dashboard, ...] = (SUMMARY, CTF, GAIN, SYSTEM, GALLERY)


def find(name: str, dashboards: Sequence[Dashboard] = STANDARD) -> Dashboard:
    """Return the dashboard of this name or uid; raises `NotFoundError`."""
    for dashboard in dashboards:
        if name in (dashboard.name, dashboard.uid):
            return dashboard
    names = ", ".join(d.name for d in dashboards)
    raise NotFoundError(f"there is no dashboard {name}", remedy=f"There are: {names}")
