-- Question: what have users written as the right answer, of episodes of a night?
-- Grain: one correction with a comment, and an episode it names; the latest of an episode last.
-- Columns: episode_id, signal_id, comment. $night: the night the episodes were ingested under.
-- A signal for a session alone does not say which answer it corrects, and is left out.
WITH told AS (
    SELECT DISTINCT signal_id, episode_id AS name, timestamp, comment
    FROM signals
    WHERE kind = 'correction' AND trim(comment) != '' AND coalesce(value, 1) != 0
),
own AS (SELECT episode_id, logged_id FROM episodes WHERE night = $night),
named AS (
    SELECT o.episode_id, t.*
    FROM told AS t INNER JOIN own AS o ON t.name = o.logged_id
    UNION ALL
    SELECT o.episode_id, t.*
    FROM told AS t INNER JOIN own AS o ON t.name = o.episode_id
    WHERE o.logged_id IS DISTINCT FROM o.episode_id
)
SELECT episode_id, signal_id, comment
FROM named
ORDER BY episode_id, timestamp NULLS FIRST, signal_id
