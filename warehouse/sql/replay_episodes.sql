-- Question: what was said, called and answered in some logged episodes, and how did they end?
-- Grain: one episode of the relation `wanted` (episode_id), by id.
-- Columns: episode_id, messages (what the agent saw and said), tools, success (1 where the newest
--   label says success, 0 where it says failure; null where it is unlabelled, and where the run
--   broke for reasons that are none of the agent's doing).
SELECT
    e.episode_id,
    agent_view(e.messages) AS messages,
    e.tools,
    CASE
        WHEN l.infrastructure_error THEN NULL
        WHEN l.state = 'success' THEN 1.0::DOUBLE
        WHEN l.state = 'failure' THEN 0.0::DOUBLE
    END AS success
FROM episodes AS e
LEFT JOIN latest_labels AS l USING (episode_id)
WHERE e.episode_id IN (SELECT episode_id FROM wanted)
ORDER BY e.episode_id
