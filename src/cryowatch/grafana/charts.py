"""How Grafana draws numbers: stat panels, time series, histograms, heat maps and scatter plots."""

from __future__ import annotations

from dataclasses import replace

from grafana_foundation_sdk.models import common, heatmap, histogram, stat, timeseries, xychart

from cryowatch.dashboards.definition import Aggregate, Panel, quantity
from cryowatch.grafana.fields import (
    BAD,
    GOOD,
    NEUTRAL,
    SERIES,
    WARN,
    Drawing,
    Property,
    colour_mode,
    colour_steps,
    limit_colours,
    model,
    override,
    shown_as,
    unit,
    without_time,
)
from cryowatch.grafana.influxql import GOOD_COUNTS, LIMIT, RECENT, known_fields, moved_limit
from cryowatch.influx.layouts import Layout

XY_CHART_VERSION = "11.1.0"
_DEVICE_NAMES = {
    ("filesystem", "used"): ("mean_used:(.*)", "$1"),
    ("filesystem", "free"): ("mean_free:(.*)", "$1 free"),
    ("filesystem", "total"): ("mean_total:(.*)", "$1 size"),
    ("filesystem", "full_in"): ("mean_fullIn:(.*)", "$1 full in"),
    ("disk", "read"): ("mean_disk_read", "Read"),
    ("disk", "written"): ("mean_disk_write", "Written"),
    ("network", "sent"): ("mean_(.*)_send", "$1 sent"),
    ("network", "received"): ("mean_(.*)_recv", "$1 received"),
    ("gpu", "use"): ("mean_gpuUse_(.*)", "GPU $1 use"),
    ("gpu", "memory"): ("mean_gpuMem_(.*)", "GPU $1 memory"),
    ("gpu", "temperature"): ("mean_gpuTem_(.*)", "GPU $1 temperature"),
    ("gpu", "power"): ("mean_gpuPow_(.*)", "GPU $1 power"),
    ("gpu", "processes"): ("mean_gpuProc_(.*)", "GPU $1 processes"),
}
_DEVICE_SERIES = {"used": "/.*/", "read": "/^Read$/", "written": "/^Written$/", "temperature": "/ temperature$/",
                  "sent": "/ sent$/", "received": "/ received$/", "use": "/ use$/", "memory": "/ memory$/",
                  "free": "/ free$/", "total": "/ size$/", "full_in": "/ full in$/", "power": "/ power$/",
                  "processes": "/ processes$/"}  # fmt: skip


def _legend() -> common.VizLegendOptions:
    return common.VizLegendOptions(
        display_mode=common.LegendDisplayMode.LIST,
        placement=common.LegendPlacement.BOTTOM,
        show_legend=True,
        calcs=[],
    )


def _tooltip(mode: common.TooltipDisplayMode) -> common.VizTooltipOptions:
    return common.VizTooltipOptions(mode=mode, sort=common.SortOrder.NONE)


def _number_options() -> dict[str, object]:
    return stat.Options(
        color_mode=common.BigValueColorMode.VALUE,
        graph_mode=common.BigValueGraphMode.NONE,
        justify_mode=common.BigValueJustifyMode.AUTO,
        text_mode=common.BigValueTextMode.VALUE_AND_NAME,
        orientation=common.VizOrientation.AUTO,
        reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"], fields="", values=False),
    ).to_json()


def draw_stat(panel: Panel, layout: Layout) -> Drawing:
    """Return one number for each field, coloured by its limits; of micrographs, a share unless it is their median."""
    share = panel.record == "micrograph" and panel.aggregate is not Aggregate.MEDIAN
    plain = colour_steps((None, NEUTRAL))
    count: list[Property] = [("unit", "none"), ("decimals", 0), ("max", None), ("thresholds", plain)]
    overrides = [override(name, count) for name in GOOD_COUNTS if panel.aggregate is Aggregate.GOOD]
    for name in () if share else known_fields(panel, layout):
        judged: list[Property] = [
            ("thresholds", limit_colours(panel, name) or plain),
            ("color", colour_mode("thresholds")),
        ]
        overrides.append(override(quantity(panel, name).label, [*shown_as(panel, name), *judged]))
    return Drawing(
        plugin="stat",
        options=_number_options(),
        defaults=model.FieldConfig(
            unit="percentunit" if share else "none",
            decimals=1 if share else 0,
            min_val=0 if share else None,
            max_val=1 if share else None,
            thresholds=colour_steps((None, BAD), (0.75, WARN), (0.9, GOOD)) if share else plain,
            color=colour_mode("thresholds"),
        ),
        overrides=overrides,
    )


def draw_devices(panel: Panel, layout: Layout) -> Drawing:
    """Return one number for each device and field, by the device's name, coloured by its limits."""
    overrides, renames = [], []
    for name in known_fields(panel, layout):
        pattern, label = _DEVICE_NAMES[panel.device, name]
        options = {"regex": pattern.removeprefix("mean_"), "renamePattern": label}
        renames.append(model.DataTransformerConfig(id_val="renameByRegex", options=options))
        judged: list[Property] = [
            ("thresholds", limit_colours(panel, name) or colour_steps((None, NEUTRAL))),
            ("color", colour_mode("thresholds")),
        ]
        series = "/^((?!free|size|full in).)*$/" if name == "used" else _DEVICE_SERIES[name]
        overrides.append(override(series, [*shown_as(panel, name), *judged], regex=True))
    plain = colour_steps((None, NEUTRAL))
    return Drawing(
        plugin="stat",
        options=_number_options(),
        defaults=model.FieldConfig(unit="none", thresholds=plain, color=colour_mode("thresholds")),
        overrides=overrides,
        transformations=renames,
    )


def _custom(panel: Panel) -> common.GraphFieldConfig:
    dashed = common.GraphThresholdsStyleMode.DASHED if _lines(panel) else common.GraphThresholdsStyleMode.OFF
    style = {
        "points": common.GraphFieldConfig(
            draw_style=common.GraphDrawStyle.POINTS, point_size=4, show_points=common.VisibilityMode.ALWAYS
        ),
        "lines": common.GraphFieldConfig(
            draw_style=common.GraphDrawStyle.LINE, line_width=1, show_points=common.VisibilityMode.NEVER
        ),
        "bars": common.GraphFieldConfig(
            draw_style=common.GraphDrawStyle.BARS, fill_opacity=70, show_points=common.VisibilityMode.NEVER
        ),
    }[panel.style]
    style.thresholds_style = common.GraphThresholdsStyleConfig(mode=dashed)
    return style


def _lines(panel: Panel) -> model.ThresholdsConfig | None:
    """Return the limits of a single field that stand where they are, as thresholds."""
    if len(panel.limits) != 1:
        return None
    limit = panel.limits[0]
    fixed = replace(panel, limits=(replace(limit, high=None),)) if moved_limit(panel) else panel
    return limit_colours(fixed, limit.field)


def _moved() -> list[Property]:
    """Return how the line of a limit is drawn that readers can move: it is a series, as no threshold can move."""
    return [
        ("color", colour_mode("fixed", BAD)),
        ("custom.drawStyle", "line"),
        ("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        ("custom.lineWidth", 1),
        ("custom.showPoints", "never"),
    ]


def draw_time_series(panel: Panel, layout: Layout) -> Drawing:
    """Return points, lines or bars over time, with dashed lines at the limits of a single field."""
    fields = known_fields(panel, layout)
    percent = bool(fields) and all(quantity(panel, f).shown_unit == "%" for f in fields)
    overrides, renames = [], []
    for place, name in enumerate(fields):
        if panel.record == "device":
            pattern, label = _DEVICE_NAMES[panel.device, name]
            options = {"regex": pattern, "renamePattern": label}
            renames.append(model.DataTransformerConfig(id_val="renameByRegex", options=options))
            colour = colour_mode("shades", SERIES[place])
            overrides.append(override(_DEVICE_SERIES[name], [*shown_as(panel, name), ("color", colour)], regex=True))
        else:
            colour = colour_mode("fixed", SERIES[place])
            overrides.append(override(quantity(panel, name).label, [*shown_as(panel, name), ("color", colour)]))
    if panel.aggregate is Aggregate.RATE:
        stages = [("/^Movies/", SERIES[0]), ("/^Micrographs/", SERIES[1]), ("/^CTF estimates/", SERIES[2])]
        for pattern, shade in stages if layout is Layout.CRYOWATCH else stages[-1:]:
            overrides.append(override(pattern, [("color", colour_mode("fixed", shade))], regex=True))
    if moved_limit(panel) is not None:
        overrides.append(override(LIMIT, _moved()))
    first = quantity(panel, fields[0]) if fields else None
    return Drawing(
        plugin="timeseries",
        options=timeseries.Options(legend=_legend(), tooltip=_tooltip(common.TooltipDisplayMode.MULTI)).to_json(),
        defaults=model.FieldConfig(
            unit=unit(first.shown_unit) if first else "suffix:per hour",
            decimals=first.decimals if first else 0,
            min_val=0 if percent or panel.style == "bars" else None,
            max_val=100 if percent else None,
            thresholds=_lines(panel) or colour_steps((None, NEUTRAL)),
            color=colour_mode("palette-classic"),
            custom=_custom(panel),
        ),
        overrides=overrides,
        transformations=renames,
        interval={"bars": "10m", "lines": "10s"}.get(panel.style),
    )


def draw_histogram(panel: Panel, layout: Layout) -> Drawing:
    """Return two histograms: of all values, and of the last ones.

    The decimals of a field would be those of the counts too, and up to Grafana 12 the unit of all but the first.
    """
    del layout
    name, bins = panel.fields[0], panel.bins
    options = histogram.Options(
        legend=_legend(), tooltip=_tooltip(common.TooltipDisplayMode.MULTI), combine=False, bucket_count=None
    ).to_json()
    if bins is not None:  # the SDK holds bins for whole numbers, Grafana does not
        options |= {"bucketSize": bins.step, "bucketOffset": bins.start % bins.step}
    return Drawing(
        plugin="histogram",
        options=options,
        defaults=model.FieldConfig(
            unit=unit(quantity(panel, name).shown_unit),
            color=colour_mode("palette-classic"),
            custom=histogram.FieldConfig(fill_opacity=60),
        ),
        overrides=[
            override("All", [("color", colour_mode("fixed", SERIES[0]))]),
            override(f"Last {RECENT}", [("color", colour_mode("fixed", SERIES[1])), ("unit", "none")]),
        ],
    )


def draw_heat_map(panel: Panel, layout: Layout) -> Drawing:
    """Return how many values lie where, over time; Grafana 10.0 to 10.2 ask whether to `show` a tooltip."""
    del layout
    known, bins = quantity(panel, panel.fields[0]), panel.bins
    buckets = common.HeatmapCalculationBucketConfig
    step = f"{bins.step:g}" if bins is not None else ""
    options = heatmap.Options(
        calculate=True,
        calculation=common.HeatmapCalculationOptions(
            x_buckets=buckets(mode=common.HeatmapCalculationMode.COUNT, value="40"),
            y_buckets=buckets(mode=common.HeatmapCalculationMode.SIZE, value=step),
        ),
        color=heatmap.HeatmapColorOptions(
            mode=heatmap.HeatmapColorMode.SCHEME,
            scheme="Cividis",
            fill=SERIES[0],
            scale=heatmap.HeatmapColorScale.EXPONENTIAL,
            exponent=0.5,
            steps=64,
        ),
        y_axis=heatmap.YAxisConfig(unit=unit(known.shown_unit), axis_placement=common.AxisPlacement.LEFT),
        legend=heatmap.HeatmapLegend(show=True),
    ).to_json()
    tooltip = heatmap.HeatmapTooltip(mode=common.TooltipDisplayMode.SINGLE, y_histogram=False).to_json()
    return Drawing(
        plugin="heatmap",
        options=options | {"tooltip": tooltip | {"show": True}},
        defaults=model.FieldConfig(unit=unit(known.shown_unit), decimals=known.decimals, custom=heatmap.FieldConfig()),
    )


def draw_scatter(panel: Panel, layout: Layout) -> Drawing:
    """Named axes for Grafana 11.1 and newer; Grafana 10 takes the first two numbers, the same ones without the time."""
    x, y = (quantity(panel, f).label for f in panel.fields)

    def named(label: str) -> xychart.MatcherConfig:
        return xychart.MatcherConfig(id_val="byName", options=label)

    first = xychart.MatcherConfig(id_val="byIndex", options=0)
    series = xychart.XYSeriesConfig(
        frame=xychart.XychartXYSeriesConfigFrame(matcher=first),
        x=xychart.XychartXYSeriesConfigX(matcher=named(x)),
        y=xychart.XychartXYSeriesConfigY(matcher=named(y)),
    )
    options = xychart.Options(
        mapping=xychart.SeriesMapping.MANUAL,
        series=[series],
        legend=_legend(),
        tooltip=_tooltip(common.TooltipDisplayMode.SINGLE),
    ).to_json()
    return Drawing(
        plugin="xychart",
        options=options | {"seriesMapping": "auto", "dims": {"frame": 0}},
        defaults=model.FieldConfig(
            color=colour_mode("fixed", SERIES[0]),
            custom=xychart.FieldConfig(
                show=xychart.XYShowMode.POINTS,
                point_size=xychart.XychartFieldConfigPointSize(fixed=4, min_val=1, max_val=100),
            ),
        ),
        overrides=[override(quantity(panel, f).label, shown_as(panel, f)) for f in known_fields(panel, layout)],
        transformations=[without_time()],
        version=XY_CHART_VERSION,
    )
