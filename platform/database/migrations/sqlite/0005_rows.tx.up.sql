-- An event's own stream is in its row: a tag that says it again is a seventh of all that adding a book writes.
DELETE FROM log_tags WHERE tag = (SELECT stream FROM log_events AS e WHERE e.position = log_tags.position);

-- The rows of the register are kept in the order of their keys, instead of beside an index of them.
CREATE TABLE register_rows_by_key (
  "constraint" TEXT NOT NULL,
  scope        TEXT NOT NULL,
  key          TEXT NOT NULL,
  owner        TEXT NOT NULL,            -- the tag of the thing that holds the key
  cause        TEXT NOT NULL,            -- the id of the event because of which it does
  ancestors    TEXT NOT NULL DEFAULT '', -- tags of the things the owner belongs to, nearest first, separated by spaces
  PRIMARY KEY ("constraint", scope, key)
) WITHOUT ROWID;
INSERT INTO register_rows_by_key SELECT "constraint", scope, key, owner, cause, ancestors FROM register_rows;
DROP TABLE register_rows;
ALTER TABLE register_rows_by_key RENAME TO register_rows;
CREATE UNIQUE INDEX register_rows_held ON register_rows (owner, "constraint", cause);
