-- Question: which tools does the agent have in some logged episodes?
-- Grain: one set of logged schemas (tools; name and argument are null), or, for episodes that log
--   none, one argument of one tool that was called (kind is the JSON type of its values), or one
--   tool that was called without arguments.
-- Columns: tools, name, argument, kind, calls (episodes with these schemas, or calls seen).
-- Relation wanted: episode_id.
WITH logged AS (
    SELECT tools, agent_view(messages) AS messages
    FROM episodes
    WHERE episode_id IN (SELECT episode_id FROM wanted)
),
called AS (
    SELECT call.name AS name, call.arguments::JSON AS arguments
    FROM (
        SELECT unnest(flatten(list_transform(messages, lambda m: m.tool_calls))) AS call
        FROM logged
        WHERE tools IS NULL
    )
    WHERE NOT coalesce(call.malformed, false) AND json_type(call.arguments) = 'OBJECT'
),
keyed AS (
    SELECT name, arguments, unnest(json_keys(arguments)) AS argument FROM called
)
SELECT tools, NULL::VARCHAR AS name, NULL::VARCHAR AS argument, NULL::VARCHAR AS kind,
    count(*) AS calls
FROM logged
WHERE tools IS NOT NULL
GROUP BY tools
UNION ALL
SELECT NULL, name, NULL, NULL, count(*)
FROM called
GROUP BY name
UNION ALL
SELECT NULL, name, argument, json_type(arguments -> argument), count(*)
FROM keyed
GROUP BY ALL
ORDER BY tools, name, argument, kind
