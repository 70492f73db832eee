-- Question: how many rows do some files of `episodes` hold, superseded ones included?
-- Grain: one row. Columns: rows.
SELECT count(*) AS rows FROM all_episodes
