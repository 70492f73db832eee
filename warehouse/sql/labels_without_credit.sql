-- Question: how many of the newest labels were written by a release that kept no states of steps?
-- Grain: one row. Columns: labels.
SELECT count(*) AS labels FROM latest_labels WHERE step_states IS NULL
