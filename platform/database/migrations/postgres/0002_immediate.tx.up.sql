-- Whether a projector is played in the transactions that store events. It stands beside the end of the log so that who appends
-- without playing finds out by the same update that this was wrong, and not by a question of its own.
ALTER TABLE log_head ADD COLUMN immediate boolean NOT NULL DEFAULT false;

UPDATE log_head SET immediate = true WHERE EXISTS (SELECT 1 FROM projectors WHERE timing = 'immediate');
