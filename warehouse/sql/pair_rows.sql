-- Question: what does a trainer read of the pairs that were chosen?
-- Grain: one pair of the relation `chosen`, by rank. Columns: those of `pairs`, in their order.
-- Messages are what the agent saw and said; positions are 1-based and count in those. The prompt is
--   the chosen episode up to `prompt_end`; `said`, where it is not null, is an answer in place of
--   the message at `chosen_start`. $night: the night all episodes were ingested under.
-- Read once and kept: reading a night's messages costs more than all that is done with them.
WITH own AS MATERIALIZED (
    SELECT episode_id, scenario_id, tools, agent_view(messages) AS messages
    FROM episodes
    WHERE night = $night AND episode_id IN (
        SELECT chosen_episode FROM chosen UNION ALL SELECT rejected_episode FROM chosen
    )
),
-- Cut before they wait for the other side: whole episodes twice would be the most of the memory.
worse AS (
    SELECT p.rank, e.messages[p.rejected_start : p.rejected_end] AS rejected
    FROM own AS e INNER JOIN chosen AS p ON e.episode_id = p.rejected_episode
),
better AS (
    SELECT p.*, e.scenario_id, e.tools, e.messages
    FROM own AS e INNER JOIN chosen AS p ON e.episode_id = p.chosen_episode
)
SELECT
    p.build,
    p.pair_id,
    p.kind,
    p.scenario_id,
    p.messages[: p.prompt_end] AS prompt,
    if(
        p.said IS NULL,
        p.messages[p.chosen_start : p.chosen_end],
        [struct_update(
            p.messages[p.chosen_start], content := p.said, reasoning := NULL::VARCHAR
        )]
    ) AS chosen,
    r.rejected,
    p.tools,
    p.chosen_episode,
    p.rejected_episode,
    p.margin,
    p.confidence,
    p.state,
    p.support,
    p."group",
    p.rank
FROM better AS p INNER JOIN worse AS r ON p.rank = r.rank
ORDER BY p.rank
