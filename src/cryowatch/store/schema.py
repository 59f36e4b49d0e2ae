"""The store's tables, and how each version of them became the next.

`PRAGMA user_version` counts the migrations that a file has been through.  Each runs in one transaction with the new
version number, so an interrupted upgrade is none.  Every row that a follower may want carries `seq`, its place in the
one order of changes; `counter` holds the last one given out.
"""

from __future__ import annotations

import sqlite3

from cryowatch.errors import StoreTooNew
from cryowatch.store.delivered_schema import DELIVERED

_FIRST = """
CREATE TABLE counter (seq INTEGER NOT NULL);
INSERT INTO counter VALUES (0);

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    host TEXT NOT NULL,
    created INTEGER,
    status TEXT NOT NULL DEFAULT '',
    software TEXT NOT NULL DEFAULT '',
    voltage REAL,
    spherical_aberration REAL,
    amplitude_contrast REAL,
    magnification REAL,
    pixel_size REAL,
    dose_per_frame REAL,
    state TEXT NOT NULL DEFAULT 'ok',
    state_text TEXT NOT NULL DEFAULT '',
    troubles TEXT NOT NULL DEFAULT '[]',
    last_read INTEGER,
    cursor TEXT NOT NULL DEFAULT '',
    generation INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES session ON DELETE CASCADE,
    run TEXT NOT NULL,
    label TEXT NOT NULL,
    class_name TEXT NOT NULL,
    status TEXT NOT NULL,
    started INTEGER,
    ended INTEGER,
    error TEXT NOT NULL,
    working_dir TEXT NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (session_id, run)
);

CREATE TABLE output (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id INTEGER NOT NULL REFERENCES session ON DELETE CASCADE,
    run TEXT NOT NULL,
    name TEXT NOT NULL,
    class_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    size INTEGER,
    stream_open INTEGER,
    path TEXT NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (session_id, run, name),
    FOREIGN KEY (session_id, run) REFERENCES run (session_id, run) ON DELETE CASCADE
);

CREATE TABLE output_size (
    output_id INTEGER NOT NULL REFERENCES output ON DELETE CASCADE,
    time INTEGER NOT NULL,
    size INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (output_id, time)
) WITHOUT ROWID;

CREATE TABLE micrograph (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    output_id INTEGER NOT NULL,
    item INTEGER NOT NULL,
    name TEXT NOT NULL,
    time INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    defocus_u REAL,
    defocus_v REAL,
    defocus_angle REAL,
    phase_shift REAL,
    resolution REAL,
    fit_quality REAL,
    motion_total REAL,
    motion_early REAL,
    motion_late REAL,
    pixel_size REAL,
    micrograph_path TEXT NOT NULL,
    power_spectrum_path TEXT NOT NULL,
    shift_plot_path TEXT NOT NULL,
    seq INTEGER NOT NULL,
    defocus REAL GENERATED ALWAYS AS ((defocus_u + defocus_v) / 2) VIRTUAL,
    astigmatism REAL GENERATED ALWAYS AS (abs(defocus_u - defocus_v)) VIRTUAL,
    ratio REAL GENERATED ALWAYS AS (defocus_u / nullif(defocus_v, 0)) VIRTUAL
);
CREATE UNIQUE INDEX micrograph_item ON micrograph (output_id, item);
CREATE INDEX micrograph_time ON micrograph (output_id, time);
CREATE INDEX micrograph_seq ON micrograph (seq);
-- A foreign key would look the output up for each of a hundred thousand rows: a fifth of the time of storing them.
CREATE TRIGGER output_gone AFTER DELETE ON output BEGIN
    DELETE FROM micrograph WHERE output_id = old.id;
END;

CREATE TABLE gain (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL,
    run TEXT NOT NULL,
    item INTEGER NOT NULL,
    movie TEXT NOT NULL,
    time INTEGER NOT NULL,
    stddev REAL,
    ratio1 REAL,
    ratio2 REAL,
    seq INTEGER NOT NULL,
    UNIQUE (session_id, run, item),
    FOREIGN KEY (session_id, run) REFERENCES run (session_id, run) ON DELETE CASCADE
);

CREATE TABLE host_sample (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    time INTEGER NOT NULL,
    cpu REAL,
    memory REAL,
    swap REAL,
    load REAL,
    seq INTEGER NOT NULL
);
CREATE UNIQUE INDEX host_sample_time ON host_sample (host, time);

CREATE TABLE device_sample (
    sample_id INTEGER NOT NULL REFERENCES host_sample ON DELETE CASCADE,
    kind TEXT NOT NULL,
    device TEXT NOT NULL,
    sent REAL,
    received REAL,
    read REAL,
    written REAL,
    used REAL,
    free REAL,
    use REAL,
    memory REAL,
    temperature REAL,
    power REAL,
    PRIMARY KEY (sample_id, kind, device)
) WITHOUT ROWID;

CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    rule TEXT NOT NULL,
    session_id INTEGER REFERENCES session ON DELETE CASCADE,
    severity TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    value REAL,
    "limit" REAL,
    text TEXT NOT NULL,
    seq INTEGER NOT NULL
);
CREATE INDEX alert_session ON alert (session_id, since);

CREATE TABLE position (
    follower TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;
"""

_HISTORY = """
-- What sessions and runs were at each change, for followers that come later.
CREATE TABLE session_state (
    session_id INTEGER NOT NULL REFERENCES session ON DELETE CASCADE,
    time INTEGER NOT NULL,
    status TEXT NOT NULL,
    software TEXT NOT NULL,
    voltage REAL,
    spherical_aberration REAL,
    amplitude_contrast REAL,
    magnification REAL,
    pixel_size REAL,
    dose_per_frame REAL,
    seq INTEGER PRIMARY KEY
);
CREATE TABLE run_state (
    session_id INTEGER NOT NULL,
    run TEXT NOT NULL,
    time INTEGER NOT NULL,
    label TEXT NOT NULL,
    status TEXT NOT NULL,
    seq INTEGER PRIMARY KEY,
    FOREIGN KEY (session_id, run) REFERENCES run (session_id, run) ON DELETE CASCADE
);
DROP INDEX micrograph_time;
CREATE INDEX micrograph_time ON micrograph (output_id, time, item);
CREATE INDEX run_state_run ON run_state (session_id, run, seq);
CREATE INDEX output_size_seq ON output_size (seq);
CREATE INDEX host_sample_seq ON host_sample (seq);
CREATE INDEX gain_seq ON gain (seq);
CREATE INDEX alert_seq ON alert (seq);
-- How a follower fares: when it was last seen, what stands in its way, how many points it had to set aside.
ALTER TABLE position ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE position ADD COLUMN problem TEXT NOT NULL DEFAULT '';
ALTER TABLE position ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;
INSERT INTO session_state
    SELECT id, coalesce(last_read, created, 0), status, software, voltage, spherical_aberration, amplitude_contrast,
           magnification, pixel_size, dose_per_frame, seq FROM session WHERE seq > 0;
INSERT OR IGNORE INTO run_state
    SELECT session_id, run, coalesce(ended, started, 0), label, status, seq FROM run;
"""

_IMAGES_AND_HOSTS = """
-- Which images of a micrograph lie where the publisher put them: names below `target`, empty where there is none.
CREATE TABLE published (
    micrograph_id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    time INTEGER NOT NULL,
    micrograph TEXT NOT NULL DEFAULT '',
    power_spectrum TEXT NOT NULL DEFAULT '',
    shift_plot TEXT NOT NULL DEFAULT '',
    problem TEXT NOT NULL DEFAULT '',
    seq INTEGER NOT NULL
);
CREATE INDEX published_seq ON published (seq);
CREATE TRIGGER micrograph_gone AFTER DELETE ON micrograph BEGIN
    DELETE FROM published WHERE micrograph_id = old.id;
END;
-- What a follower has still to do, where that is not the distance to the last change.
ALTER TABLE position ADD COLUMN waiting INTEGER;

-- Where each frame of an aligned movie was, in Å: numbers between spaces, x and y of as many frames.
CREATE TABLE shifts (
    output_id INTEGER NOT NULL REFERENCES output ON DELETE CASCADE,
    name TEXT NOT NULL,
    x TEXT NOT NULL,
    y TEXT NOT NULL,
    PRIMARY KEY (output_id, name)
) WITHOUT ROWID;

ALTER TABLE host_sample ADD COLUMN pressure_cpu REAL;
ALTER TABLE host_sample ADD COLUMN pressure_memory REAL;
ALTER TABLE host_sample ADD COLUMN pressure_io REAL;
ALTER TABLE device_sample ADD COLUMN total REAL;
ALTER TABLE device_sample ADD COLUMN full_in REAL;
ALTER TABLE device_sample ADD COLUMN processes INTEGER;
ALTER TABLE device_sample ADD COLUMN note TEXT NOT NULL DEFAULT '';
"""

_ALARMS = """
-- What an alert is about beside its session: the host, and the run, disk, GPU or server.  `last_bad` is when its rule
-- was last broken.
ALTER TABLE alert ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN field TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN unit TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN last_bad INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert ADD COLUMN acknowledged INTEGER;
CREATE UNIQUE INDEX alert_open ON alert (rule, coalesce(session_id, 0), host, subject) WHERE until IS NULL;

-- Of what nobody wants to be told until a time.
CREATE TABLE mute (
    rule TEXT NOT NULL,
    session_id INTEGER NOT NULL,
    host TEXT NOT NULL,
    subject TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (rule, session_id, host, subject)
) WITHOUT ROWID;

-- What people are to be told, and to which channel it has gone.
CREATE TABLE notice (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id INTEGER NOT NULL REFERENCES alert ON DELETE CASCADE,
    event TEXT NOT NULL,
    time INTEGER NOT NULL,
    severity TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX notice_alert ON notice (alert_id);
CREATE TABLE notice_sent (
    notice_id INTEGER NOT NULL REFERENCES notice ON DELETE CASCADE,
    channel TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (notice_id, channel)
) WITHOUT ROWID;

-- Where an import looks for new files.
ALTER TABLE run ADD COLUMN files TEXT NOT NULL DEFAULT '';

-- Since when something has stood in a follower's way.
ALTER TABLE position ADD COLUMN since INTEGER;
"""

_DROPPED = """
-- How many host samples were forgotten before a follower had them, and when that was last.
ALTER TABLE position ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE position ADD COLUMN dropped_at INTEGER;
"""

_LINEAGE = """
-- What a run was made from: RUN.OUTPUT between commas; NULL where the source has not told yet.
ALTER TABLE run ADD COLUMN inputs TEXT;
"""

_ORIGINS_AND_ERRORS = """
-- When a project was made, as it says itself; by that it is known, wherever it lies.  `inode` is that of its database,
-- `replaced` when another project was found in its folder (UTC ns).
ALTER TABLE session ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN inode INTEGER;
ALTER TABLE session ADD COLUMN replaced INTEGER;

-- More than the one line of an alert: a whole error.
ALTER TABLE alert ADD COLUMN detail TEXT NOT NULL DEFAULT '';
"""

_CORES = """
-- How many cores the machine has.
ALTER TABLE host_sample ADD COLUMN cores INTEGER;
"""

_CALMING = """
-- What an alert that calms down said while its rule was broken; until it is over `text`, `value` and "limit" say what
-- holds now.
ALTER TABLE alert ADD COLUMN broken_text TEXT;
ALTER TABLE alert ADD COLUMN broken_value REAL;
ALTER TABLE alert ADD COLUMN broken_limit REAL;
"""

_FORGOTTEN = """
-- Sessions that were forgotten: which project is passed over, and whether all rows are gone.  Times are in UTC ns.
CREATE TABLE forgotten (
    session_id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    origin TEXT NOT NULL,
    inode INTEGER,
    started TEXT NOT NULL,
    time INTEGER NOT NULL,
    author TEXT NOT NULL,
    influxdb INTEGER NOT NULL,
    images INTEGER NOT NULL,
    passed INTEGER NOT NULL,
    cleared INTEGER NOT NULL
);
-- Published files that are to be taken away from where they lie.
CREATE TABLE retracted (
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (target, name)
) WITHOUT ROWID;
"""

_RESTING = """
-- What showed of the project from outside when all of it had been read.
ALTER TABLE session ADD COLUMN outside TEXT NOT NULL DEFAULT '';
"""

MIGRATIONS: tuple[str, ...] = (
    _FIRST,
    _HISTORY,
    _IMAGES_AND_HOSTS,
    _ALARMS,
    _DROPPED,
    _LINEAGE,
    _ORIGINS_AND_ERRORS,
    _CORES,
    DELIVERED,
    _CALMING,
    _FORGOTTEN,
    _RESTING,
)


def migrate(connection: sqlite3.Connection, *, where: object, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Bring a store up to the present version; raises `StoreTooNew` where it is already beyond it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise StoreTooNew(
            f"was written by a newer cryowatch (version {version} of its tables, this one knows {len(migrations)})",
            where=where,
            remedy="Upgrade cryowatch, or choose another --data-dir",
        )
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
