-- Question: which logged scenarios of builds hold any of the given episodes?
-- Grain: one scenario of one build. Columns: key (`build:scenario_id`). Relation wanted: episode_id.
SELECT key
FROM scenarios
WHERE key IS NOT NULL AND list_has_any(logged, (SELECT list(episode_id) FROM wanted))
ORDER BY key
