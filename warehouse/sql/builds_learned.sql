-- Which builds learned from the given episodes?
-- Grain: one build. Columns: build, episodes (how many of them it learned from).
-- Relation wanted: episode_id.
WITH learned AS (
    SELECT build, episode_id FROM trajectories
    UNION
    SELECT build, chosen_episode FROM pairs
    UNION
    SELECT build, rejected_episode FROM pairs
    UNION
    SELECT build, unnest(logged) FROM scenarios
)
SELECT build, count(DISTINCT episode_id) AS episodes
FROM learned
WHERE episode_id IN (SELECT episode_id FROM wanted)
GROUP BY build
ORDER BY build
