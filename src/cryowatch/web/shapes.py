"""What the JSON interface answers, as JSON schemas (draft 2020-12, as OpenAPI 3.1 has them).

An object names everything that it holds: what stands here and is not answered, or the other way, is an error that a
test finds.  Fields of micrographs come from the model.
"""

from __future__ import annotations

from typing import Any

from cryowatch.records import DERIVED, ImageKind, Micrograph, OutputKind, Severity, quantities

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
REAL: Schema = {"type": "number"}
YES_OR_NO: Schema = {"type": "boolean"}
ID: Schema = {"type": "integer", "minimum": 0, "maximum": 2**53}
TIME: Schema = {"type": "integer", "description": "UTC milliseconds since 1970."}


def text(*values: str) -> Schema:
    """Return one of some texts."""
    return {"type": "string", "enum": list(values)}


def or_null(schema: Schema) -> Schema:
    """Return something that may not be there."""
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema) -> Schema:
    """Return a list of something."""
    return {"type": "array", "items": schema}


def holding(*optional: str, **properties: Schema) -> Schema:
    """Return an object that holds these properties, of which some may be left out, and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def by_name(schema: Schema) -> Schema:
    """Return an object that holds something under names that are not known before."""
    return {"type": "object", "additionalProperties": schema}


def named(name: str) -> Schema:
    """Return what `COMPONENTS` holds under a name."""
    return {"$ref": f"#/components/schemas/{name}"}


_LABELLED = {"label": TEXT, "unit": TEXT, "decimals": or_null(COUNT)}
_NUMBERS = listed(or_null(REAL))
_SESSION = {
    "id": TEXT,
    "name": TEXT,
    "path": TEXT,
    "host": TEXT,
    "source": TEXT,
    "software": TEXT,
    "status": TEXT,
    "created": or_null(TIME),
    "state": named("State"),
    "head": WHOLE,
    "generation": WHOLE,
    "counts": holding(movies=COUNT, micrographs=COUNT, ctf=COUNT),
    "stages": by_name(or_null(TIME)),
    "newest": holding(time=or_null(TIME), micrograph=or_null(ID), name=or_null(TEXT), version=or_null(WHOLE)),
    "rate": holding(last_hour=or_null(COUNT), median_hour=or_null(REAL)),
    "good": or_null(
        holding(
            of=COUNT,
            good=COUNT,
            unfit=COUNT,
            disabled=COUNT,
            share=or_null(REAL),
            status=or_null(text("good", "warn", "bad")),
            per_hour=or_null(REAL),
            estimated_per_hour=or_null(REAL),
            usual=or_null(REAL),
        )
    ),
    "future": or_null(holding(count=COUNT, latest=TIME)),
    "medians": holding(defocus=or_null(REAL), resolution=or_null(REAL), astigmatism=or_null(REAL)),
}
_ALERTS = {
    "counts": holding(**dict.fromkeys([severity.value for severity in Severity], COUNT)),
    "active": listed(named("Alert")),
}


def _with_head(schema: Schema) -> Schema:
    """Return an object that also holds the position of its session's last change."""
    properties = {"head": WHOLE, "generation": WHOLE, "outputs": listed(ID), **schema["properties"]}
    return {**schema, "properties": properties, "required": ["head", "generation", "outputs", *schema["required"]]}


def _micrograph() -> dict[str, Schema]:
    """Return the properties of a micrograph: the model's, and what pages need."""
    texts = ("run", "output", "name")
    known = [name for name in (*quantities(Micrograph), *DERIVED) if name not in ("time", "enabled", "item", *texts)]
    values = {name: or_null(TEXT if name.endswith("_path") else REAL) for name in known}
    return {
        "id": ID,
        **dict.fromkeys(texts, TEXT),
        "item": WHOLE,
        "time": TIME,
        "enabled": YES_OR_NO,
        **values,
        "version": WHOLE,
        "images": holding(**dict.fromkeys([kind.value for kind in ImageKind], or_null(TEXT))),
    }


_DATA: dict[str, Schema] = {
    "Nothing": holding(empty={"type": "boolean", "const": True}),
    "Quiet": holding(quiet=TEXT),
    "Stat": holding(
        items=listed(
            holding(
                "newest",
                "n",
                "rule",
                **_LABELLED,
                rule=or_null(TEXT),
                value=or_null(REAL),
                share=YES_OR_NO,
                status=or_null(text("good", "warn", "bad")),
                detail=TEXT,
                newest=or_null(TIME),
                n=COUNT,
            )
        )
    ),
    "Table": holding(
        "runs",
        columns=listed(
            holding(
                "low",
                "high",
                "critical",
                **_LABELLED,
                format=TEXT,
                low=or_null(REAL),
                high=or_null(REAL),
                critical=or_null(REAL),
            )
        ),
        rows=listed(listed({"type": ["string", "number", "boolean", "null", "object"]})),
        total=COUNT,
        runs=listed(TEXT),
    ),
    "Series": holding(
        "step_ms",
        id=or_null(listed(or_null(ID))),
        time=listed(TIME),
        step_ms=COUNT,
        series=listed(holding(**_LABELLED, values=_NUMBERS)),
        shown=COUNT,
        total=COUNT,
        partial=YES_OR_NO,
    ),
    "Histogram": holding(
        **_LABELLED,
        start=REAL,
        step=REAL,
        counts=listed(COUNT),
        recent=or_null(listed(COUNT)),
        n=COUNT,
        median=or_null(REAL),
        lower=or_null(REAL),
        upper=or_null(REAL),
        beyond=COUNT,
    ),
    "HeatMap": holding(
        **_LABELLED,
        time=listed(TIME),
        step_ms=COUNT,
        start=REAL,
        step=REAL,
        bins=COUNT,
        cells=listed(listed(WHOLE)),
    ),
    "Scatter": holding(
        id=listed(or_null(ID)),
        time=listed(TIME),
        x=holding(**_LABELLED, values=_NUMBERS),
        y=holding(**_LABELLED, values=_NUMBERS),
        shown=COUNT,
        total=COUNT,
        partial=YES_OR_NO,
    ),
    "Gallery": holding(limit=or_null(COUNT)),
    "Text": holding(text=TEXT),
}
"""What one panel draws, in shown units, by its kind; without values it is empty, or says why."""


COMPONENTS: dict[str, Schema] = {
    "Error": holding(error={"type": "string", "description": "One line: what, where, and how to mend it."}),
    "State": holding(
        state=TEXT,
        text=TEXT,
        last_read=or_null(TIME),
        troubles=listed(holding(where=TEXT, state=TEXT, text=TEXT)),
    ),
    "Alert": holding(
        id=ID,
        rule=TEXT,
        session=or_null(TEXT),
        host=TEXT,
        subject=TEXT,
        severity=text(*Severity),
        since=TIME,
        until=or_null(TIME),
        value=or_null(REAL),
        limit=or_null(REAL),
        field=TEXT,
        unit=TEXT,
        text=TEXT,
        detail=TEXT,
        acknowledged=or_null(TIME),
        muted_until=or_null(TIME),
        record=TEXT,
        decimals=or_null(COUNT),
    ),
    "Delivery": holding(
        where=TEXT,
        what=TEXT,
        waiting=TEXT,
        behind=COUNT,
        accepted=COUNT,
        rejected=COUNT,
        dropped=COUNT,
        last_dropped=or_null(TIME),
        problem=TEXT,
        needs_person=YES_OR_NO,
        last_success=or_null(TIME),
    ),
    "Session": holding(**_SESSION, alerts=holding(**_ALERTS)),
    "SessionDetail": holding(
        **_SESSION,
        alerts=holding(**_ALERTS, head=WHOLE),
        acquisition=listed(holding(name=TEXT, value=REAL, **_LABELLED)),
        runs=listed(
            holding(
                run=TEXT,
                label=TEXT,
                class_name=TEXT,
                status=TEXT,
                error=TEXT,
                started=or_null(TIME),
                ended=or_null(TIME),
            )
        ),
        outputs=listed(
            holding(
                id=ID,
                run=TEXT,
                run_label=or_null(TEXT),
                run_status=or_null(TEXT),
                name=TEXT,
                class_name=TEXT,
                kind=text(*OutputKind),
                size=or_null(COUNT),
                count=COUNT,
                stream_open=or_null(YES_OR_NO),
                newest=or_null(TIME),
            )
        ),
        leading=listed(ID),
        logs=YES_OR_NO,
        dashboards=listed(holding(name=TEXT, uid=TEXT, title=TEXT)),
        deliveries=listed(named("Delivery")),
    ),
    "RunLog": holding(
        run=TEXT,
        label=TEXT,
        status=TEXT,
        error=TEXT,
        files=listed(holding(name=TEXT, size=COUNT, modified=or_null(TIME), text=TEXT, whole=YES_OR_NO, problem=TEXT)),
    ),
    "Micrograph": holding(**_micrograph()),
    "MicrographAlone": holding(**_micrograph(), session=TEXT, previous=or_null(ID), next=or_null(ID)),
    "Panel": holding(
        id=TEXT,
        title=TEXT,
        kind=TEXT,
        text=TEXT,
        width=COUNT,
        height=COUNT,
        record=TEXT,
        style=TEXT,
        clickable=YES_OR_NO,
        fields=listed(holding(name=TEXT, **_LABELLED)),
        limits=listed(holding(field=TEXT, low=or_null(REAL), high=or_null(REAL), variable=or_null(TEXT))),
    ),
    "Dashboard": holding(
        name=TEXT,
        uid=TEXT,
        title=TEXT,
        refresh_seconds=or_null(REAL),
        window_seconds=or_null(REAL),
        variables=listed(
            holding(
                name=TEXT,
                label=TEXT,
                unit=TEXT,
                value=REAL,
                default=REAL,
                min=REAL,
                max=REAL,
                step=REAL,
            )
        ),
        panels=listed(named("Panel")),
    ),
    **{f"Data{kind}": schema for kind, schema in _DATA.items()},
    "Data": {"anyOf": [named(f"Data{kind}") for kind in _DATA]},
    "DataAlone": {"anyOf": [_with_head(schema) for schema in _DATA.values()]},
    "Field": holding(
        label=TEXT,
        text=TEXT,
        unit=TEXT,
        shown_unit=TEXT,
        scale=REAL,
        per_shown=REAL,
        decimals=or_null(COUNT),
    ),
    "Belongings": holding(
        **dict.fromkeys(("runs", "outputs", "gains", "alerts", "acknowledged", "muted", "waiting", "links"), COUNT),
        **dict.fromkeys(("bytes", "images", "image_bytes"), COUNT),
        items=by_name(COUNT),
        influxdb=listed(holding(where=TEXT, points=COUNT)),
        published=listed(holding(where=TEXT, files=COUNT)),
    ),
    "Share": holding(id=TEXT, until=TIME, created=TIME, by=TEXT, label=TEXT),
    "ShareMade": holding(id=TEXT, until=TIME, created=TIME, by=TEXT, label=TEXT, url=TEXT),
}
