-- Question: what does reinforcement need of the logged scenarios that were chosen?
-- Grain: one scenario of the relation `chosen` (build, scenario_id, group, episodes, pass_rate,
--   difficulty, logged, prompt_episode, rank), in its order. Columns: those of `scenarios`.
-- The prompt is everything before the agent's first word in one of its episodes.
-- Relation nights: the nights of ingest that all of them are of; no other one's are read.
SELECT
    c.build,
    concat(c.build, ':', c.scenario_id) AS key,
    c.scenario_id,
    e.messages[: list_position(list_transform(e.messages, lambda m: m.role), 'assistant') - 1]
        AS prompt,
    e.tools,
    c.episodes,
    c.pass_rate,
    c.difficulty,
    c.logged,
    c."group",
    c.rank
FROM chosen AS c
INNER JOIN (
    SELECT episode_id, tools, agent_view(messages) AS messages
    FROM episodes
    WHERE night IN (SELECT night FROM nights)
        AND episode_id IN (SELECT prompt_episode FROM chosen)
) AS e ON e.episode_id = c.prompt_episode
ORDER BY c.rank
