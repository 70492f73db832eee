-- Question: which episodes of some files go on from another one, superseded ones included?
-- Grain: one episode. Columns: episode_id, supersedes (the one it goes on from).
SELECT episode_id, supersedes FROM all_episodes WHERE supersedes IS NOT NULL
