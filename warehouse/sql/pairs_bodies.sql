-- Question: where can the messages of a night's episodes be cut into pairs, and how alike are they?
-- Grain: one episode of the relation `wanted` in which the agent said something.
-- Columns: episode_id, prompt_digest (of the tools and all before the first step), characters (of
--   the agent's texts and calls), length (messages), steps (positions of the agent's messages),
--   results (one digest a message, 0 but for results: for comparing within one answer only),
--   answer (what the last step says, null where it calls), failed (positions of calls that an error
--   answered, where the very next step made the same tool work). Positions are 1-based, among what
--   the agent saw: `agent_view`. $night: the night all of them were ingested under, `YYYY-MM-DD`.
WITH seen AS (
    SELECT episode_id, tools, tool_errors, agent_view(messages) AS messages
    FROM episodes
    WHERE night = $night AND episode_id IN (SELECT episode_id FROM wanted)
),
placed AS (
    SELECT
        *,
        list_filter(
            list_transform(messages, lambda m, i: if(m.role = 'assistant', i, 0)),
            lambda i: i > 0
        ) AS steps
    FROM seen
)
SELECT
    episode_id,
    md5(coalesce(tools, '') || chr(29) || array_to_string(
        list_transform(
            messages[: steps[1] - 1], lambda m: m.role || ':' || coalesce(m.content, '')
        ), chr(30)
    )) AS prompt_digest,
    list_sum(list_transform(
        messages,
        lambda m: if(
            m.role = 'assistant',
            len(coalesce(m.content, '')) + coalesce(list_sum(
                list_transform(m.tool_calls, lambda c: len(c.name) + len(c.arguments))
            ), 0),
            0
        )
    ))::BIGINT AS characters,
    len(messages) AS length,
    steps,
    list_transform(
        messages, lambda m: if(m.role = 'tool', hash(coalesce(m.content, '')), 0::UBIGINT)
    ) AS results,
    if(len(messages[steps[-1]].tool_calls) = 0, messages[steps[-1]].content, NULL) AS answer,
    -- Older releases did not count errors.
    CASE WHEN coalesce(tool_errors, 1) > 0 THEN list_filter(
        steps,
        lambda i: len(messages[i].tool_calls) = 1
        AND messages[i + 1].role = 'tool' AND coalesce(messages[i + 1].error, false)
        AND messages[i + 2].role = 'assistant' AND len(messages[i + 2].tool_calls) = 1
        AND messages[i + 3].role = 'tool' AND NOT coalesce(messages[i + 3].error, false)
        AND messages[i].tool_calls[1].name = messages[i + 2].tool_calls[1].name
        AND messages[i].tool_calls[1].arguments != messages[i + 2].tool_calls[1].arguments
    ) ELSE [] END AS failed
FROM placed
WHERE len(steps) > 0
ORDER BY episode_id
