"""How Grafana draws tables, and the gallery as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.models import common, table, text

from cryowatch.dashboards.definition import Aggregate, Panel, quantity
from cryowatch.grafana.fields import (
    BAD,
    GOOD,
    NEUTRAL,
    NO_VALUE,
    WARN,
    Drawing,
    Property,
    colour_mode,
    colour_steps,
    limit_colours,
    model,
    override,
    shown_as,
    without_time,
)
from cryowatch.grafana.influxql import GALLERY_FIELDS, known_fields
from cryowatch.influx.layouts import IMAGES, Layout

IMAGE_IN_LINK = r"""/^[\s\S]*<img[^>]*\ssrc=["']?([^"'\s>]+)[\s\S]*$/"""
"""An HTML link around an image, as the layout `scipion` has it; JavaScript's syntax."""
_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+\-!<>|]")
IN_BOLD = r"/^<b>([\s\S]*)<\/b>$/"


def _mapped(pattern: str) -> list[object]:
    """Return the mapping of a text to its part in brackets, and of no value to nothing."""
    return [{"type": "regex", "options": {"pattern": pattern, "result": {"text": "$1", "index": 0}}}, *NO_VALUE]


def _words(**words: tuple[str, str]) -> list[object]:
    """Return the mapping of words to a text and a colour, and of no value to nothing."""
    mapped = {
        word: {"text": text, "color": colour, "index": place}
        for place, (word, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": mapped}, *NO_VALUE]


_COLOURED: Property = ("custom.cellOptions", {"type": "color-text"})
_STATES = _words(
    running=("running", NEUTRAL), finished=("finished", GOOD), failed=("failed", BAD), aborted=("aborted", WARN)
)
_SEVERITIES = _words(critical=("critical", BAD), warning=("warning", WARN), info=("info", NEUTRAL))
_ACTIVE = _words(true=("began", BAD), false=("over", GOOD))


def draw_table(panel: Panel, layout: Layout) -> Drawing:
    """Alerts, properties, runs, comparisons, or rows as they are."""
    if panel.record == "alert":
        overrides = [
            override("Time", [("displayName", "When"), ("custom.width", 180)]),
            override("Severity", [("mappings", _SEVERITIES), _COLOURED, ("custom.width", 110)]),
            override("State", [("mappings", _ACTIVE), _COLOURED, ("custom.width", 90)]),
            override("Text", [("custom.minWidth", 320)]),
        ]
        return _table(overrides)
    if panel.record == "session":
        return _session(layout)
    if panel.record == "run":
        return _runs(layout)
    fields = known_fields(panel, layout)
    if panel.aggregate is Aggregate.COMPARE:
        overrides = [*_numbers(panel, fields), override("Number", [("unit", "none"), ("decimals", 0)])]
        overrides += [override(f"± {quantity(panel, f).label}", shown_as(panel, f)) for f in fields]
        return _table(overrides, [_merged(), without_time()])
    overrides = _numbers(panel, [f for f in fields if quantity(panel, f).decimals is not None])
    return _table(overrides, pages=bool(panel.rows and panel.rows > 50))


def _session(layout: Layout) -> Drawing:
    """A line for each property; one row of columns is turned by Grafana."""
    if layout is Layout.SCIPION:
        return _table([override("Property", [("mappings", _mapped(IN_BOLD))])], [without_time()], header=False)
    turned = model.DataTransformerConfig(id_val="reduce", options={"mode": "seriesToRows", "reducers": ["lastNotNull"]})
    return _table([], [turned], header=False)


def _runs(layout: Layout) -> Drawing:
    if layout is Layout.SCIPION:
        return _table([override("Run", [("mappings", _mapped(IN_BOLD))])], [without_time()])
    overrides = [
        override("Time", [("displayName", "Newest"), ("unit", "dateTimeFromNow")]),
        override("Status", [("mappings", _STATES), _COLOURED]),
        override("Items", [("unit", "none"), ("decimals", 0)]),
    ]
    return _table(overrides, [_merged()])


def _merged() -> model.DataTransformerConfig:
    """Return the transformation that makes one table of several, in which equal rows stand once."""
    return model.DataTransformerConfig(id_val="merge", options={})


def _numbers(panel: Panel, names: Sequence[str]) -> list[Any]:
    """Return the overrides of columns of numbers, coloured by their limits."""
    overrides = []
    for name in names:
        steps = limit_colours(panel, name)
        judged: list[Property] = [("thresholds", steps), ("color", colour_mode("thresholds")), _COLOURED]
        overrides.append(override(quantity(panel, name).label, [*shown_as(panel, name), *(judged if steps else [])]))
    return overrides


def draw_gallery(panel: Panel, layout: Layout) -> Drawing:
    """Image cells; an HTML link around an image is mapped to the image's address, so that no HTML has to be let in."""
    mappings: list[Property] = [("mappings", _mapped(IMAGE_IN_LINK))] if layout is Layout.SCIPION else []
    link = {"title": "Open the image", "url": "${__value.text}", "targetBlank": True}
    image: list[Property] = [("custom.cellOptions", {"type": "image"}), ("custom.width", 140), ("links", [link])]
    fields = [f for f in known_fields(panel, layout) or GALLERY_FIELDS if f != "time"]
    overrides = [*(override(name, [*image, *mappings]) for name in IMAGES), *_numbers(panel, fields)]
    return _table(overrides, pages=panel.rows != 1, height=common.TableCellHeight.LG)


def draw_text(panel: Panel, layout: Layout) -> Drawing:
    """Words that a facility put there, as plain paragraphs."""
    del layout
    return Drawing(
        plugin="text",
        options=text.Options(mode=text.TextMode.MARKDOWN, content=_MARKDOWN.sub(r"\\\g<0>", panel.text)).to_json(),
        defaults=model.FieldConfig(),
    )


def _table(
    overrides: Sequence[Any],
    transformations: Sequence[model.DataTransformerConfig] = (),
    *,
    header: bool = True,
    pages: bool = False,
    height: common.TableCellHeight = common.TableCellHeight.SM,
) -> Drawing:
    options = table.Options(
        show_header=header,
        cell_height=height,
        footer=common.TableFooterOptions(show=False, reducer=["sum"], count_rows=False, enable_pagination=pages),
    ).to_json()
    options["enablePagination"] = pages  # where Grafana 12.2 and newer look for it; older ones look into the footer
    return Drawing(
        plugin="table",
        options=options,
        defaults=model.FieldConfig(
            color=colour_mode("fixed", NEUTRAL),
            thresholds=colour_steps((None, NEUTRAL)),
            mappings=list(NO_VALUE),
            custom=table.FieldConfig(align=common.FieldTextAlignment.AUTO, inspect=False),
        ),
        overrides=overrides,
        transformations=transformations,
    )
