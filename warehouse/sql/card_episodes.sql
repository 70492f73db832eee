-- Question: which episodes is a build made of, and what is known of each in narrow columns?
-- Grain: one episode that is trained on or held out, by id. Columns: episode_id, held_out, format,
--   source (digest of its file), marked (a copy or a near copy of an earlier one), state, decided_by,
--   confidence. $build: the build's digest. An episode that `forget` has taken is not here any more.
WITH members AS (
    SELECT episode_id, min(held_out) AS held_out
    FROM (
        SELECT episode_id, false AS held_out FROM trajectories WHERE build = $build
        UNION
        SELECT chosen_episode, false FROM pairs WHERE build = $build
        UNION
        SELECT rejected_episode, false FROM pairs WHERE build = $build
        UNION
        SELECT episode_id, true FROM held_out WHERE build = $build
    )
    GROUP BY episode_id
)
SELECT
    e.episode_id,
    m.held_out,
    e.format,
    e.source,
    e.duplicate_of IS NOT NULL OR e.near_duplicate_of IS NOT NULL AS marked,
    l.label.state,
    coalesce(l.label.decided_by, 'nothing') AS decided_by,
    l.label.confidence
FROM all_episodes AS e
INNER JOIN members AS m USING (episode_id)
LEFT JOIN (
    -- Half the CPU of a window over the same rows.
    SELECT
        episode_id,
        arg_max(
            {'state': state, 'decided_by': decided_by, 'confidence': confidence}, revision
        ) AS label
    FROM labels SEMI JOIN members USING (episode_id)
    GROUP BY episode_id
) AS l USING (episode_id)
ORDER BY e.episode_id
