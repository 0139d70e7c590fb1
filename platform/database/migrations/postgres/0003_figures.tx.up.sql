-- What the processes on this log have counted in the last minutes, ten seconds a row. Nothing depends on it: rows that are old
-- are deleted, and all of it may be.
CREATE TABLE constraint_figures (
  process uuid        NOT NULL, -- drawn when the process began
  since   timestamptz NOT NULL, -- when the ten seconds began
  figures text        NOT NULL, -- JSON
  PRIMARY KEY (process, since)
);
