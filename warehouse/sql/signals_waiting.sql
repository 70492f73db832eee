-- Question: which older signals were waiting for episodes that are new?
-- Grain: one signal. Columns: those by which it is weighed.
-- Relations: ids (id: what goes for an episode's name), sessions (session_id). $since: the first
--   night, `YYYY-MM-DD`, whose signals still wait; null is every night.
SELECT DISTINCT ON (signal_id)
    signal_id, episode_id, session_id, user_id, timestamp, kind, value
FROM signals
WHERE ($since IS NULL OR night >= $since)
    AND (
        episode_id IN (SELECT id FROM ids)
        OR (episode_id IS NULL AND session_id IN (SELECT session_id FROM sessions))
    )
