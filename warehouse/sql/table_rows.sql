-- How many rows does each table hold?
-- Grain: one table. Columns: name, rows.
SELECT 'episodes' AS name, count(*) AS rows FROM episodes
UNION ALL SELECT 'signals', count(*) FROM signals
UNION ALL SELECT 'quarantine', count(*) FROM quarantine
UNION ALL SELECT 'sources', count(*) FROM sources
UNION ALL SELECT 'labels', count(*) FROM labels
UNION ALL SELECT 'step_values', count(*) FROM step_values
UNION ALL SELECT 'splits', count(*) FROM splits
UNION ALL SELECT 'trajectories', count(*) FROM trajectories
UNION ALL SELECT 'pairs', count(*) FROM pairs
UNION ALL SELECT 'scenarios', count(*) FROM scenarios
UNION ALL SELECT 'evaluations', count(*) FROM evaluations
UNION ALL SELECT 'decisions', count(*) FROM decisions
