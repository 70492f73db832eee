-- Question: which tools are called in the episodes that a build shows to a trainer whole, and how
--   often does a call fail?
-- Grain: one tool, the most called first. Columns: tool, episodes, calls, failed.
-- $build: the build's digest. An episode counts once, whatever it is used for. The result of the
--   k-th call of a message is the k-th message after it; a call without one has not failed.
WITH calls AS (
    SELECT
        episode_id,
        unnest(flatten(list_transform(
            messages,
            lambda m, i: if(
                m.role = 'assistant',
                list_transform(m.tool_calls, lambda c, k: {
                    'tool': c.name,
                    'failed': coalesce(messages[i + k].role = 'tool' AND messages[i + k].error, false)
                }),
                []
            )
        ))) AS call
    FROM trajectories
    WHERE build = $build
        AND use IN ('sft', 'kto')
        AND (use = 'kto' OR episode_id NOT IN (
            SELECT episode_id FROM trajectories WHERE build = $build AND use = 'kto'
        ))
)
SELECT
    call.tool AS tool,
    count(DISTINCT episode_id) AS episodes,
    count(*) AS calls,
    count(*) FILTER (call.failed) AS failed
FROM calls
GROUP BY tool
ORDER BY calls DESC, tool
