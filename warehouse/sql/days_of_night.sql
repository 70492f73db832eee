-- Question: of which days are the episodes that were ingested under a night, and their labels?
-- Grain: one day: of their files, or the earlier one on which a beginning was read after the whole.
-- Columns: day. $night: `YYYY-MM-DD`.
SELECT day FROM all_episodes WHERE night = $night
UNION
SELECT day FROM episodes WHERE night = $night
ORDER BY day
