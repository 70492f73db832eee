-- Question: which pairs of a build can a reward model learn from?
-- Grain: one pair of the build, whole episodes first, then the surest, at most $most.
-- Columns: those of `pairs`. Left out are the two calls of a retry, which share their outcome, and
--   pairs with an episode that a reward model itself has labelled.
-- $build: the build's digest.
WITH own AS (
    SELECT episode_id FROM latest_labels WHERE decided_by = 'reward_model'
)
SELECT *
FROM pairs
WHERE build = $build
    AND kind != 'retry'
    AND chosen_episode NOT IN (SELECT episode_id FROM own)
    AND rejected_episode NOT IN (SELECT episode_id FROM own)
ORDER BY kind = 'episode' DESC, confidence DESC, pair_id
LIMIT $most
