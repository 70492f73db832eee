-- Question: what was said in episodes that earlier builds held out?
-- Grain: one message with words of a drawn episode, outside the relation `asked` (episode_id).
-- Columns: episode_id, group, text. $builds: those looked at. $seed: of the draw. $most: episodes.
WITH drawn AS (
    SELECT DISTINCT ON (episode_id)
        episode_id,
        "group",
        build
    FROM held_out
    WHERE list_contains($builds, build) AND episode_id NOT IN (SELECT episode_id FROM asked)
    ORDER BY episode_id, build
),
chosen AS (
    SELECT *
    FROM drawn
    ORDER BY md5($seed || episode_id), episode_id
    LIMIT $most
)
SELECT
    episode_id,
    "group",
    m.content AS text
FROM (
    SELECT
        c.episode_id,
        c."group",
        unnest(h.messages) AS m
    FROM held_out AS h
    INNER JOIN chosen AS c ON c.episode_id = h.episode_id AND c.build = h.build
    WHERE list_contains($builds, h.build)
)
WHERE m.role IN ('user', 'assistant') AND m.content != ''
ORDER BY ALL
