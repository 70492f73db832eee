-- Question: where did the last run of the label stage leave off?
-- Grain: one row at most. Columns: those of `labellings`.
SELECT * FROM labellings ORDER BY number DESC LIMIT 1
