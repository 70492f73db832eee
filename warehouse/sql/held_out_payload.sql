-- Question: what is there of the episodes that no training set ever sees?
-- Grain: one episode of the relation `chosen` (build, episode_id, state, confidence, total, group),
--   by id. Columns: those of `held_out`. Messages are what the agent saw and said.
-- Relation nights: the nights of ingest that all of them are of; no other one's are read.
SELECT
    c.build,
    c.episode_id,
    e.scenario_id,
    e.messages,
    e.tools,
    c.state,
    c.confidence,
    c.total,
    c."group"
FROM chosen AS c
INNER JOIN (
    SELECT episode_id, scenario_id, tools, agent_view(messages) AS messages
    FROM episodes
    WHERE night IN (SELECT night FROM nights)
        AND episode_id IN (SELECT episode_id FROM chosen)
) AS e USING (episode_id)
ORDER BY c.episode_id
