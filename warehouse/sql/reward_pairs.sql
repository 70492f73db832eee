-- Question: which pairs of some builds can a reward model learn from?
-- Grain: one pair, newest build first, whole episodes before parts, then the surest; at most $most.
-- Columns: those of `pairs`. Left out are the two calls of a retry, which share their outcome, and
--   pairs with an episode that a reward model itself has labelled, or that is labelled otherwise
--   by now.
-- $builds: digests, newest first.
WITH own AS (
    SELECT episode_id FROM latest_labels WHERE decided_by = 'reward_model'
),
changed AS (
    SELECT pair_id
    FROM pairs
    INNER JOIN latest_labels AS l ON l.episode_id = chosen_episode AND l.state = 'failure'
    WHERE kind = 'episode'
    UNION ALL
    SELECT pair_id
    FROM pairs
    INNER JOIN latest_labels AS l ON l.episode_id = rejected_episode AND l.state = 'success'
    WHERE kind = 'episode'
)
SELECT *
FROM pairs
WHERE list_contains($builds, build)
    AND kind != 'retry'
    AND chosen_episode NOT IN (SELECT episode_id FROM own)
    AND rejected_episode NOT IN (SELECT episode_id FROM own)
    AND pair_id NOT IN (SELECT pair_id FROM changed)
QUALIFY row_number() OVER (PARTITION BY pair_id ORDER BY list_position($builds, build)) = 1
ORDER BY list_position($builds, build), kind = 'episode' DESC, confidence DESC, pair_id
LIMIT $most
