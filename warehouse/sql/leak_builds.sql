-- Question: which earlier builds does a draw look at?
-- Grain: one build with rows in `held_out`; at most $most.
-- Columns: build. $seed: of the draw.
SELECT build
FROM (SELECT DISTINCT build FROM held_out)
ORDER BY md5($seed || build), build
LIMIT $most
