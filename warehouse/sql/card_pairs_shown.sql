-- Question: what stands in the pairs that are looked at?
-- Grain: one pair of the relation `wanted` (pair_id, place), in its order. Columns: those of `pairs`.
-- $build: the build's digest.
SELECT p.*
FROM pairs AS p INNER JOIN wanted USING (pair_id)
WHERE p.build = $build
ORDER BY wanted.place
