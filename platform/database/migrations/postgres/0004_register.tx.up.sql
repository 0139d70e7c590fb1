-- One index does the work of two: who holds what, and that no event gives its owner two keys of a constraint.
CREATE UNIQUE INDEX register_rows_held ON register_rows (owner, "constraint", cause);
DROP INDEX register_rows_owner;
DROP INDEX register_rows_cause;
