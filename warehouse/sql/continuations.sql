-- Question: which episodes of some files go on from another one, and which are gone on from?
-- Grain: one episode, superseded ones included.
-- Columns: episode_id, supersedes (the one it goes on from; null for the first of a session).
SELECT episode_id, supersedes
FROM all_episodes
WHERE supersedes IS NOT NULL
    OR episode_id IN (SELECT supersedes FROM all_episodes WHERE supersedes IS NOT NULL)
