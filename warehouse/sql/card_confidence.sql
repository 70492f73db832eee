-- Question: how sure are the labels of a build?
-- Grain: one of ten bins of equal width that holds any labelled episode of the relation `members`
--   (`card_episodes`). Columns: bin (0 to 9; the last holds 1 as well), success, failure.
SELECT
    least(floor(confidence * 10), 9)::BIGINT AS bin,
    count(*) FILTER (state = 'success') AS success,
    count(*) FILTER (state = 'failure') AS failure
FROM members
WHERE state IN ('success', 'failure')
GROUP BY bin
ORDER BY bin
