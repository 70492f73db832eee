-- How many episodes go by this name?
-- Grain: one row. Columns: episodes.
-- $what: episode id, the log's own id, session, user, file path or sha256.
SELECT count(DISTINCT episode_id) AS episodes
FROM episodes
WHERE episode_id = $what OR logged_id = $what OR session_id = $what OR user_id = $what
    OR source = $what OR source_file = $what OR source_file LIKE '%/' || $what
