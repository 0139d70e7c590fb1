-- What is stored here is stored for ever: the log, its units, and what constraints know.

-- The end of the log. One row, taken last in every transaction that stores events; its update makes positions gapless and
-- their order the order of commits.
CREATE TABLE log_head (
  one      INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (one = 1),
  log      TEXT    NOT NULL, -- the log's id, a UUID, drawn when the database was made
  position INTEGER NOT NULL
);

INSERT INTO log_head (log, position)
SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12)), 0
FROM (SELECT hex(randomblob(16)) AS h);

CREATE TABLE log_events (
  position    INTEGER NOT NULL PRIMARY KEY, -- 1, 2, 3 … in the order of commits
  id          TEXT    NOT NULL,             -- UUID
  unit        TEXT    NOT NULL,             -- UUID of the unit of work that recorded it
  stream      TEXT    NOT NULL,             -- the tag of the thing whose life it belongs to
  version     INTEGER NOT NULL,             -- its place in the stream
  type        TEXT    NOT NULL,             -- stored name, '<module>.<what_happened>'
  schema      INTEGER NOT NULL,             -- stored schema version; 0 is the old system's
  recorded_at TEXT    NOT NULL,             -- UTC, RFC 3339 with microseconds
  actor       TEXT    NOT NULL,
  data        TEXT    NOT NULL              -- JSON, byte for byte as it was stored
);
CREATE UNIQUE INDEX log_events_id ON log_events (id);
CREATE UNIQUE INDEX log_events_stream_version ON log_events (stream, version);

-- The things each event is about: what a scope, a history and a filter by thing are read by.
CREATE TABLE log_tags (
  tag      TEXT    NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (tag, position)
) WITHOUT ROWID;

-- A row for each unit of work: that it was done, and what it stored. Written with its events.
CREATE TABLE log_units (
  key         TEXT    NOT NULL PRIMARY KEY, -- names the request
  position    INTEGER NOT NULL,             -- of its last event
  events      INTEGER NOT NULL,             -- how many it has; they end at position
  fingerprint BLOB,                         -- tells another request under the same key
  answer      BLOB                          -- what the caller was told, where the events do not say it
) WITHOUT ROWID;

-- The guard of a sequence's scope: the last number given in it. Used in every mode.
CREATE TABLE register_guards (
  "constraint" TEXT    NOT NULL,
  scope        TEXT    NOT NULL,
  last         INTEGER NOT NULL,
  PRIMARY KEY ("constraint", scope)
) WITHOUT ROWID;

-- The register: in this scope, this key is held by this owner, because of that event.
CREATE TABLE register_rows (
  "constraint" TEXT NOT NULL,
  scope        TEXT NOT NULL,
  key          TEXT NOT NULL,
  owner        TEXT NOT NULL,           -- the tag of the thing that holds the key
  cause        TEXT NOT NULL,           -- the id of the event because of which it does
  ancestors    TEXT NOT NULL DEFAULT '' -- tags of the things the owner belongs to, nearest first, separated by spaces
);
CREATE UNIQUE INDEX register_rows_key ON register_rows ("constraint", scope, key);
CREATE UNIQUE INDEX register_rows_cause ON register_rows ("constraint", cause);
CREATE INDEX register_rows_owner ON register_rows (owner, "constraint");

-- Where each projector is. Its tables are its own, made and dropped by it: read models are caches.
CREATE TABLE projectors (
  name       TEXT    NOT NULL,
  version    INTEGER NOT NULL,
  log        TEXT    NOT NULL, -- the log that position belongs to
  position   INTEGER NOT NULL, -- everything up to here is in its tables
  timing     TEXT    NOT NULL, -- background | immediate
  state      TEXT    NOT NULL, -- playing | broken
  error      TEXT    NOT NULL DEFAULT '',
  changed_at TEXT    NOT NULL, -- when state or timing last changed: UTC, RFC 3339
  PRIMARY KEY (name, version)
);
