"""The tables of what lies at a server that follows the store, and of what it holds that is so no more.

Nobody keeps a list of a follower's points.  Of items and gain residuals the store knows what they are called at the
server, and has a row for each that was superseded, which triggers write in the transaction that changes the item.  So
nothing is written while nothing is superseded.  Of states, which are few, each point is in a table.
"""

from __future__ import annotations

DELIVERED = """
-- How many items an output held at the end of each ten minutes in which some came, by the items' own times: `time` is
-- where these ten minutes begin.  Two stores that read the same items hold the same.
CREATE TABLE output_step (
    output_id INTEGER NOT NULL REFERENCES output ON DELETE CASCADE,
    time INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (output_id, time)
) WITHOUT ROWID;
INSERT INTO output_step
    SELECT output_id, step, sum(items) OVER (PARTITION BY output_id ORDER BY step) FROM (
        SELECT output_id, time - time % 600000000000 AS step, count(*) AS items FROM micrograph GROUP BY 1, 2);

-- Items and gain residuals that a server may hold as they were and are no more: gone, at another time, without a value
-- that they had, discarded.  `follower` is who has to deal with it, NULL for everyone; `owner` is the output of an
-- item, and the session of a gain residual.
CREATE TABLE superseded (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    follower TEXT,
    kind TEXT NOT NULL,
    owner INTEGER NOT NULL,
    run TEXT NOT NULL DEFAULT '',
    item INTEGER NOT NULL,
    time INTEGER NOT NULL,
    cause TEXT NOT NULL
);
-- Nobody but InfluxDB is followed by its points: without one nothing is written here.
CREATE VIEW followed AS SELECT 1 FROM position WHERE follower GLOB 'influx *';

DROP TRIGGER output_gone;
CREATE TRIGGER output_gone BEFORE DELETE ON output BEGIN
    DELETE FROM micrograph WHERE output_id = old.id;
END;
CREATE TRIGGER micrograph_superseded AFTER UPDATE ON micrograph
WHEN old.time <> new.time
    OR (old.defocus_u IS NOT NULL AND new.defocus_u IS NULL) OR (old.defocus_v IS NOT NULL AND new.defocus_v IS NULL)
    OR (old.defocus_angle IS NOT NULL AND new.defocus_angle IS NULL) OR (old.ratio IS NOT NULL AND new.ratio IS NULL)
    OR (old.phase_shift IS NOT NULL AND new.phase_shift IS NULL)
    OR (old.resolution IS NOT NULL AND new.resolution IS NULL)
    OR (old.fit_quality IS NOT NULL AND new.fit_quality IS NULL)
    OR (old.motion_total IS NOT NULL AND new.motion_total IS NULL)
    OR (old.motion_early IS NOT NULL AND new.motion_early IS NULL)
    OR (old.motion_late IS NOT NULL AND new.motion_late IS NULL)
BEGIN
    INSERT INTO superseded (kind, owner, item, time, cause)
        SELECT 'item', old.output_id, old.item, old.time, 'changed' WHERE EXISTS (SELECT 1 FROM followed)
            AND (SELECT kind FROM output WHERE id = old.output_id) IN ('ctf', 'micrographs');
END;
CREATE TRIGGER micrograph_discarded AFTER UPDATE OF enabled ON micrograph WHEN old.enabled AND NOT new.enabled BEGIN
    INSERT INTO superseded (kind, owner, item, time, cause)
        SELECT 'item', old.output_id, old.item, old.time, 'discarded' WHERE EXISTS (SELECT 1 FROM followed)
            AND (SELECT kind FROM output WHERE id = old.output_id) IN ('ctf', 'micrographs');
END;
DROP TRIGGER micrograph_gone;
CREATE TRIGGER micrograph_gone AFTER DELETE ON micrograph BEGIN
    DELETE FROM published WHERE micrograph_id = old.id;
    INSERT INTO superseded (kind, owner, item, time, cause)
        SELECT 'item', old.output_id, old.item, old.time, 'gone' WHERE EXISTS (SELECT 1 FROM followed)
            AND (SELECT kind FROM output WHERE id = old.output_id) IN ('ctf', 'micrographs');
END;
CREATE TRIGGER published_gone AFTER DELETE ON published BEGIN
    INSERT INTO superseded (kind, owner, item, time, cause)
        SELECT 'item', output_id, item, time, 'unpublished' FROM micrograph
        WHERE id = old.micrograph_id AND EXISTS (SELECT 1 FROM followed);
END;
CREATE TRIGGER published_fewer AFTER UPDATE ON published
WHEN (old.micrograph <> '' AND new.micrograph = '') OR (old.power_spectrum <> '' AND new.power_spectrum = '')
    OR (old.shift_plot <> '' AND new.shift_plot = '')
BEGIN
    INSERT INTO superseded (kind, owner, item, time, cause)
        SELECT 'item', output_id, item, time, 'unpublished' FROM micrograph
        WHERE id = old.micrograph_id AND EXISTS (SELECT 1 FROM followed);
END;
CREATE TRIGGER gain_superseded AFTER UPDATE ON gain
WHEN old.time <> new.time OR (old.stddev IS NOT NULL AND new.stddev IS NULL)
    OR (old.ratio1 IS NOT NULL AND new.ratio1 IS NULL) OR (old.ratio2 IS NOT NULL AND new.ratio2 IS NULL)
BEGIN
    INSERT INTO superseded (kind, owner, run, item, time, cause)
        SELECT 'gain', old.session_id, old.run, old.item, old.time, 'changed' WHERE EXISTS (SELECT 1 FROM followed);
END;
CREATE TRIGGER gain_gone AFTER DELETE ON gain BEGIN
    INSERT INTO superseded (kind, owner, run, item, time, cause)
        SELECT 'gain', old.session_id, old.run, old.item, old.time, 'gone' WHERE EXISTS (SELECT 1 FROM followed);
END;

-- What a follower calls the items of an output, or the gain residuals of a run: measurement and tags, as JSON.  A name
-- that is not used any more has to be known until what bears it is off the server: up to this row of `superseded`.
CREATE TABLE delivered_series (
    follower TEXT NOT NULL,
    kind TEXT NOT NULL,
    owner INTEGER NOT NULL,
    run TEXT NOT NULL,
    series TEXT NOT NULL,
    retired INTEGER,
    PRIMARY KEY (follower, kind, owner, run, series)
) WITHOUT ROWID;
-- What a follower calls a session's project, for good, and as of which change its states were delivered.
CREATE TABLE delivered_session (
    follower TEXT NOT NULL,
    session_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (follower, session_id)
) WITHOUT ROWID;
-- The points of states that lie at a server: of sessions with their runs and outputs, and of alerts.  `fields` are the
-- names of the fields that it may have, `?` for any; `digest` is that of the fields, NULL while it is not known whether
-- they arrived.
CREATE TABLE delivered_point (
    follower TEXT NOT NULL,
    holder TEXT NOT NULL,
    series TEXT NOT NULL,
    time INTEGER NOT NULL,
    fields TEXT NOT NULL,
    digest INTEGER,
    PRIMARY KEY (follower, holder, series, time)
) WITHOUT ROWID;
-- Up to which row of `superseded` a follower has come, why points were set aside last, and how many points stay at a
-- server that cannot delete.
ALTER TABLE position ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE position ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE position ADD COLUMN outdated INTEGER NOT NULL DEFAULT 0;

-- What was delivered so far has the time at which it was read, and is taken away for what has the source's.
INSERT OR IGNORE INTO delivered_point
    SELECT p.follower, 'session:' || s.id, json_array('session', json_object('host', s.host, 'project', s.name)),
           t.time, '?', NULL
    FROM position AS p JOIN session_state AS t ON t.seq <= p.seq JOIN session AS s ON s.id = t.session_id
    WHERE p.follower GLOB 'influx cryowatch *';
INSERT OR IGNORE INTO delivered_point
    SELECT p.follower, 'session:' || s.id,
           json_array('run', json_object('host', s.host, 'project', s.name, 'run', t.run)), t.time, '?', NULL
    FROM position AS p JOIN run_state AS t ON t.seq <= p.seq JOIN session AS s ON s.id = t.session_id
    WHERE p.follower GLOB 'influx cryowatch *';
INSERT OR IGNORE INTO delivered_point
    SELECT p.follower, 'session:' || s.id,
           json_array('run', json_object('host', s.host, 'output', o.name, 'project', s.name, 'run', t.run)),
           t.time, '?', NULL
    FROM position AS p JOIN run_state AS t ON t.seq <= p.seq JOIN session AS s ON s.id = t.session_id
        JOIN output AS o ON o.session_id = s.id AND o.run = t.run
    WHERE p.follower GLOB 'influx cryowatch *';
INSERT OR IGNORE INTO delivered_point
    SELECT p.follower, 'session:' || s.id,
           json_array('run', json_object('host', s.host, 'output', o.name, 'project', s.name, 'run', o.run)),
           z.time + 1, '?', NULL
    FROM position AS p JOIN output_size AS z ON z.seq <= p.seq JOIN output AS o ON o.id = z.output_id
        JOIN session AS s ON s.id = o.session_id
    WHERE p.follower GLOB 'influx cryowatch *';
INSERT OR IGNORE INTO delivered_point
    SELECT p.follower, 'alert:' || a.id,
           json_array('alert', json_patch(json_object('host', a.host, 'rule', a.rule, 'severity', a.severity),
                                          json_object('project', s.name))),
           t.second * 1000000000 + a.id % 1000000000, '?', NULL
    FROM position AS p JOIN alert AS a ON a.seq <= p.seq LEFT JOIN session AS s ON s.id = a.session_id
        JOIN (SELECT id, since / 1000000000 AS second FROM alert UNION ALL
              SELECT id, max(until, since + 1000000000) / 1000000000 FROM alert WHERE until IS NOT NULL) AS t
            ON t.id = a.id
    WHERE p.follower GLOB 'influx cryowatch *';
"""
