-- Question: how hard are the scenarios that reinforcement gets?
-- Grain: one of ten bins of equal width of the pass rate that holds any. Columns: bin (0 to 9; the
--   last holds 1 as well), scenarios, episodes, mixed, hard, easy (scenarios of each difficulty).
-- $build: the build's digest.
SELECT
    least(floor(pass_rate * 10), 9)::BIGINT AS bin,
    count(*) AS scenarios,
    sum(episodes)::BIGINT AS episodes,
    count(*) FILTER (difficulty = 'mixed') AS mixed,
    count(*) FILTER (difficulty = 'hard') AS hard,
    count(*) FILTER (difficulty = 'easy') AS easy
FROM scenarios
WHERE build = $build
GROUP BY bin
ORDER BY bin
