-- Question: how many training episodes of the build $build say with which tokens, and how likely,
--   the agent acted?
-- Grain: one row.
-- Columns: episodes.
WITH shown AS (
    SELECT episode_id FROM trajectories WHERE build = $build
    UNION
    SELECT unnest([chosen_episode, rejected_episode]) FROM pairs WHERE build = $build
    UNION
    SELECT unnest(logged) FROM scenarios WHERE build = $build
)
SELECT count(*) AS episodes
FROM episodes
WHERE
    len(token_ids) > 0
    AND len(token_ids) = len(logprobs)
    AND episode_id IN (SELECT episode_id FROM shown)
