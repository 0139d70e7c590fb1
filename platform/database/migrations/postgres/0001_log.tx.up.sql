-- A placeholder: the log's tables go here.
SELECT 1;
