-- Which files taught a build, and with how many episodes?
-- Grain: one source file. Columns: file, sha256, episodes.
-- $build: the build's digest.
WITH learned AS (
    SELECT episode_id FROM trajectories WHERE build = $build
    UNION
    SELECT chosen_episode FROM pairs WHERE build = $build
    UNION
    SELECT rejected_episode FROM pairs WHERE build = $build
)
SELECT
    min(episodes.source_file) AS file,
    episodes.source AS sha256,
    count(DISTINCT episodes.episode_id) AS episodes
FROM learned
JOIN episodes USING (episode_id)
GROUP BY episodes.source
ORDER BY file, sha256
