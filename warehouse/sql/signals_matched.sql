-- Question: which episode is each signal about, and what does it say of it?
-- Grain: one signal and episode, also where the signal says nothing (kind is null).
-- Columns: place (of the episode in `candidates`), signal_id, timestamp, user_id, session_id, kind
--   (kind of evidence; `outcome` for a verified one), value.
-- Relations: told (signals), candidates (episodes). $rating_high, $rating_low, $score_above.
-- A signal names an episode, else one of the model calls that were joined to one. A signal for a
-- session alone is about the session's last episode that began before it; without times, that of the
-- last night and line.
WITH by_name AS (
    SELECT c.place, t.*
    FROM told AS t INNER JOIN candidates AS c ON t.episode_id = c.logged_id
    UNION ALL
    SELECT c.place, t.*
    FROM told AS t INNER JOIN candidates AS c ON t.episode_id = c.episode_id
    WHERE c.logged_id IS DISTINCT FROM c.episode_id
),
-- Few or none, so that the lists of calls are mostly not even read.
unmatched AS (
    SELECT * FROM told
    WHERE episode_id IS NOT NULL AND signal_id NOT IN (SELECT signal_id FROM by_name)
),
called AS (
    SELECT place, unnest(call_ids) AS call_id
    FROM candidates
    WHERE list_has_any(call_ids, (SELECT list(episode_id) FROM unmatched))
),
matched AS (
    SELECT * FROM by_name
    UNION ALL
    SELECT DISTINCT c.place, t.*
    FROM unmatched AS t INNER JOIN called AS c ON t.episode_id = c.call_id
    UNION ALL
    SELECT
        arg_max(
            c.place,
            (
                coalesce(c.started_at, 'epoch'::TIMESTAMPTZ),
                coalesce(c.night, ''), c.source_line, c.episode_id
            )
        ) AS place,
        t.*
    FROM told AS t INNER JOIN candidates AS c ON t.session_id = c.session_id
    WHERE t.episode_id IS NULL
        AND (t.timestamp IS NULL OR c.started_at IS NULL OR c.started_at <= t.timestamp)
    GROUP BY ALL
),
named AS (
    SELECT
        place,
        signal_id,
        timestamp,
        user_id,
        session_id,
        CASE
            WHEN kind = 'thumbs' AND value IS NOT NULL
                THEN if(value > 0, 'thumbs_up', 'thumbs_down')
            WHEN kind = 'rating' AND value >= $rating_high THEN 'rating_high'
            WHEN kind = 'rating' AND value <= $rating_low THEN 'rating_low'
            WHEN kind = 'score' AND value IS NOT NULL
                THEN if(value >= $score_above, 'score_high', 'score_low')
            WHEN kind IN ('correction', 'reask', 'export', 'complaint', 'escalation')
                AND coalesce(value, 1) != 0 THEN kind
            WHEN kind = 'outcome' AND value IS NOT NULL THEN kind
        END AS kind,
        value
    FROM matched
)
SELECT place, signal_id, timestamp, user_id, session_id, kind, value
FROM named
ORDER BY place, timestamp NULLS FIRST, signal_id
