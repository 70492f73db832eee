-- Question: which pairs of a build does a person look at?
-- Grain: one pair whose id starts with $prefix, in an order that $seed draws; $number at most.
-- Columns: pair_id. $build: the build's digest.
SELECT pair_id
FROM pairs
WHERE build = $build AND starts_with(pair_id, $prefix)
ORDER BY md5(pair_id || ':' || $seed), pair_id
LIMIT $number
