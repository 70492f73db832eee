-- Question: what does a trainer read of the episodes that were chosen?
-- Grain: one (use, episode) of the relation `chosen` (build, use, episode_id, group, rank,
--   good_steps: null trains on all steps), in its order. Columns: those of `trajectories`.
-- Messages are what the agent saw and said. A step's advantage is its return-to-go less $baseline,
--   the mean of all chosen steps: one baseline, none by turn number.
-- Relation nights: the nights of ingest that all of them are of; no other one's are read.
SELECT
    c.build,
    c.use,
    c.episode_id,
    e.scenario_id,
    e.messages,
    e.tools,
    l.state = 'success' AS desirable,
    l.confidence AS weight,
    l.total,
    list_transform(coalesce(l.step_returns, []), lambda r: r - $baseline) AS step_advantages,
    list_transform(
        e.messages,
        lambda m, i: m.role = 'assistant' AND (
            c.good_steps IS NULL
            OR coalesce(c.good_steps[
                len(list_filter(e.messages[: i], lambda x: x.role = 'assistant'))
            ], false)
        )
    ) AS train_on,
    c."group",
    c.rank
FROM chosen AS c
INNER JOIN (
    SELECT episode_id, state, confidence, total, step_returns
    FROM labels
    WHERE night IN (SELECT night FROM nights)
        AND episode_id IN (SELECT episode_id FROM chosen)
    QUALIFY row_number() OVER (PARTITION BY episode_id ORDER BY revision DESC) = 1
) AS l USING (episode_id)
INNER JOIN (
    SELECT episode_id, scenario_id, tools, agent_view(messages) AS messages
    FROM episodes
    WHERE night IN (SELECT night FROM nights)
        AND episode_id IN (SELECT episode_id FROM chosen)
) AS e USING (episode_id)
ORDER BY c.use, c.rank
