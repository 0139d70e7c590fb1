-- Whether a projector is played in the transactions that store events. It stands beside the end of the log so that who appends
-- without playing finds out by the same update that this was wrong, and not by a question of its own.
ALTER TABLE log_head ADD COLUMN immediate INTEGER NOT NULL DEFAULT 0 CHECK (immediate IN (0, 1));

UPDATE log_head SET immediate = 1 WHERE EXISTS (SELECT 1 FROM projectors WHERE timing = 'immediate');
