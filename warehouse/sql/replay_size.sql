-- Question: how many rows of successes have earlier builds imitated, an episode counted each time?
-- Grain: one row. Columns: rows. Relation `earlier`: build, place; their files alone are looked at.
SELECT count(*)::BIGINT AS rows
FROM trajectories
WHERE use = 'sft' AND desirable AND build IN (SELECT build FROM earlier)
