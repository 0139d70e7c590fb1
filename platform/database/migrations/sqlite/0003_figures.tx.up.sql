-- What the processes on this log have counted in the last minutes, ten seconds a row. Nothing depends on it: rows that are old
-- are deleted, and all of it may be.
CREATE TABLE constraint_figures (
  process TEXT NOT NULL, -- UUID, drawn when the process began
  since   TEXT NOT NULL, -- when the ten seconds began: UTC, RFC 3339
  figures TEXT NOT NULL, -- JSON
  PRIMARY KEY (process, since)
);
