-- Question: in which formats were the episodes of a build logged?
-- Grain: one format of the relation `members` (`card_episodes`), the commonest first.
-- Columns: format, files, episodes, marked (of them, copies or near copies of earlier ones).
SELECT
    format,
    count(DISTINCT source) AS files,
    count(*) AS episodes,
    count(*) FILTER (marked) AS marked
FROM members
GROUP BY format
ORDER BY episodes DESC, format
