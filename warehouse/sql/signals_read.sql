-- Question: which signals do some files hold?
-- Grain: one signal of the files of `signals` that are looked at.
-- Columns: those by which it is weighed.
SELECT DISTINCT ON (signal_id)
    signal_id, episode_id, session_id, user_id, timestamp, kind, value
FROM signals
