-- Question: what was decided of the episodes of a build, and by what?
-- Grain: one deciding tier (`decided_by`) of the relation `members` (`card_episodes`), the commonest
--   first. Columns: decided_by, success, failure, unlabelled.
SELECT
    decided_by,
    count(*) FILTER (state = 'success') AS success,
    count(*) FILTER (state = 'failure') AS failure,
    count(*) FILTER (state = 'unlabelled') AS unlabelled
FROM members
WHERE state IS NOT NULL
GROUP BY decided_by
ORDER BY count(*) DESC, decided_by
