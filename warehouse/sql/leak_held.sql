-- Question: which episodes did earlier builds hold out, of those asked for?
-- Grain: one episode of the relation `asked` (episode_id) that stands in `held_out`.
-- Columns: episode_id.
SELECT DISTINCT episode_id
FROM held_out
WHERE episode_id IN (SELECT episode_id FROM asked)
ORDER BY episode_id
