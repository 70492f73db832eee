-- Question: how many rows has a build, by table and use?
-- Grain: one (table, use). Columns: part, use, rows, scenarios (distinct ones), confidence (median;
--   null where rows have none). $build: the build's digest.
SELECT
    'trajectories' AS part, use, count(*) AS rows, count(DISTINCT scenario_id) AS scenarios,
    quantile_disc(weight, 0.5) AS confidence
FROM trajectories WHERE build = $build GROUP BY use
UNION ALL
SELECT 'pairs', kind, count(*), count(DISTINCT scenario_id), quantile_disc(confidence, 0.5)
FROM pairs WHERE build = $build GROUP BY kind
UNION ALL
SELECT 'scenarios', difficulty, count(*), count(DISTINCT scenario_id), NULL
FROM scenarios WHERE build = $build GROUP BY difficulty
UNION ALL
SELECT 'held_out', state, count(*), count(DISTINCT scenario_id), quantile_disc(confidence, 0.5)
FROM held_out WHERE build = $build GROUP BY state
ORDER BY part, use
