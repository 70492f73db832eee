-- Question: which of the given signals are already held, and from which source?
-- Grain: one signal id of the relation `candidates` that the table holds.
-- Columns: signal_id, source.
SELECT signal_id, min(source) AS source
FROM signals
WHERE signal_id IN (SELECT signal_id FROM candidates)
GROUP BY signal_id
