-- Which files taught a build, and with how many episodes?
-- Grain: one source file. Columns: file, sha256, episodes.
-- $build: the build's digest. What it learned from counts, also where a longer episode has taken
-- the place of it since.
WITH learned AS (
    SELECT episode_id FROM trajectories WHERE build = $build
    UNION
    SELECT chosen_episode FROM pairs WHERE build = $build
    UNION
    SELECT rejected_episode FROM pairs WHERE build = $build
    UNION
    SELECT unnest(logged) FROM scenarios WHERE build = $build
)
SELECT
    min(e.source_file) AS file,
    e.source AS sha256,
    count(DISTINCT episode_id) AS episodes
FROM learned
JOIN all_episodes AS e USING (episode_id)
GROUP BY e.source
ORDER BY file, sha256
