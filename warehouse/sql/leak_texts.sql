-- Question: what did users and the agent say in some episodes?
-- Grain: one message with words of the relation `asked` (episode_id, place).
-- Columns: place, text. $nights: those that the episodes are of; no other files are read.
SELECT
    place,
    m.content AS text
FROM (
    SELECT
        a.place,
        unnest(e.messages) AS m
    FROM (SELECT episode_id, messages FROM episodes WHERE list_contains($nights, night)) AS e
    INNER JOIN asked AS a USING (episode_id)
)
WHERE m.role IN ('user', 'assistant') AND m.content != ''
ORDER BY place
