-- Question: why has each side of the pairs that are looked at its label?
-- Grain: one episode of the relation `wanted` (episode_id). Columns: episode_id, state, success,
--   decided_by, evidence.
SELECT episode_id, state, success, decided_by, evidence
FROM labels
WHERE episode_id IN (SELECT episode_id FROM wanted)
QUALIFY row_number() OVER (PARTITION BY episode_id ORDER BY revision DESC) = 1
ORDER BY episode_id
