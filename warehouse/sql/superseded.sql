-- Question: which episodes have longer ones taken the place of?
-- Grain: one episode. Columns: episode_id.
SELECT supersedes AS episode_id FROM all_episodes WHERE supersedes IS NOT NULL
UNION
SELECT episode_id FROM all_episodes WHERE superseded_by IS NOT NULL
ORDER BY episode_id
