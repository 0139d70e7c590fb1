-- What is stored here is stored for ever: the log, its units, and what constraints know.

-- The end of the log. One row, taken last in every transaction that stores events; its update makes positions gapless and
-- their order the order of commits. Little fill, so that its new versions stay on the page.
CREATE TABLE log_head (
  one      smallint NOT NULL PRIMARY KEY DEFAULT 1 CHECK (one = 1),
  log      uuid     NOT NULL, -- the log's id, drawn when the database was made
  position bigint   NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

INSERT INTO log_head (log, position) VALUES (gen_random_uuid(), 0);

CREATE TABLE log_events (
  position    bigint      NOT NULL PRIMARY KEY, -- 1, 2, 3 … in the order of commits
  id          uuid        NOT NULL,
  unit        uuid        NOT NULL,             -- the unit of work that recorded it
  stream      text        NOT NULL COLLATE "C", -- the tag of the thing whose life it belongs to
  version     integer     NOT NULL,             -- its place in the stream
  type        text        NOT NULL COLLATE "C", -- stored name, '<module>.<what_happened>'
  schema      integer     NOT NULL,             -- stored schema version; 0 is the old system's
  recorded_at timestamptz NOT NULL,
  actor       text        NOT NULL,
  data        text        NOT NULL              -- JSON, byte for byte as it was stored
);
CREATE UNIQUE INDEX log_events_id ON log_events (id);
CREATE UNIQUE INDEX log_events_stream_version ON log_events (stream, version);

-- The things each event is about: what a scope, a history and a filter by thing are read by.
CREATE TABLE log_tags (
  tag      text   NOT NULL COLLATE "C",
  position bigint NOT NULL,
  PRIMARY KEY (tag, position)
);

-- A row for each unit of work: that it was done, and what it stored. Written with its events.
CREATE TABLE log_units (
  key         text    NOT NULL COLLATE "C" PRIMARY KEY, -- names the request
  position    bigint  NOT NULL,                         -- of its last event
  events      integer NOT NULL,                         -- how many it has; they end at position
  fingerprint bytea,                                    -- tells another request under the same key
  answer      bytea                                     -- what the caller was told, where the events do not say it
);

-- The guard of a sequence's scope: the last number given in it. Used in every mode.
CREATE TABLE register_guards (
  "constraint" text   NOT NULL COLLATE "C",
  scope        text   NOT NULL COLLATE "C",
  last         bigint NOT NULL,
  PRIMARY KEY ("constraint", scope)
) WITH (fillfactor = 70);

-- The register: in this scope, this key is held by this owner, because of that event.
CREATE TABLE register_rows (
  "constraint" text NOT NULL COLLATE "C",
  scope        text NOT NULL COLLATE "C",
  key          text NOT NULL COLLATE "C",
  owner        text NOT NULL COLLATE "C",           -- the tag of the thing that holds the key
  cause        uuid NOT NULL,                       -- the id of the event because of which it does
  ancestors    text NOT NULL COLLATE "C" DEFAULT '' -- tags of the things the owner belongs to, nearest first, separated by spaces
);
CREATE UNIQUE INDEX register_rows_key ON register_rows ("constraint", scope, key);
CREATE UNIQUE INDEX register_rows_cause ON register_rows ("constraint", cause);
CREATE INDEX register_rows_owner ON register_rows (owner, "constraint");

-- Where each projector is. Its tables are its own, made and dropped by it: read models are caches.
CREATE TABLE projectors (
  name       text        NOT NULL,
  version    integer     NOT NULL,
  log        uuid        NOT NULL, -- the log that position belongs to
  position   bigint      NOT NULL, -- everything up to here is in its tables
  timing     text        NOT NULL, -- background | immediate
  state      text        NOT NULL, -- playing | broken
  error      text        NOT NULL DEFAULT '',
  changed_at timestamptz NOT NULL, -- when state or timing last changed
  PRIMARY KEY (name, version)
);
