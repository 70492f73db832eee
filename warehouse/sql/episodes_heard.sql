-- Question: which episodes of some files may new signals, or new episodes of their session, be about?
-- Grain: one episode. Columns: those by which signals and questions find it.
-- Relations: ids (id: what signals name), sessions (session_id).
SELECT
    episode_id, day, night, logged_id, session_id, question,
    started_at, ended_at, source_line, call_ids
FROM episodes
WHERE logged_id IN (SELECT id FROM ids)
    OR episode_id IN (SELECT id FROM ids)
    OR session_id IN (SELECT session_id FROM sessions)
    OR list_has_any(call_ids, (SELECT list(id) FROM ids))
