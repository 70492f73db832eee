-- Question: which groups have some groups become part of, one after the other?
-- Grain: one group of the relation `asked` ("group") with one that it is part of; itself is one.
-- Columns: group (as asked), part_of, retired (part_of is, by a change that was written down).
WITH RECURSIVE changes AS MATERIALIZED (
    SELECT key, "group", side FROM split_keys WHERE kind = 'group'
),
reached AS (
    SELECT DISTINCT "group", "group" AS part_of FROM asked
    UNION
    SELECT r."group", c."group" FROM reached AS r INNER JOIN changes AS c ON c.key = r.part_of
)
SELECT
    r."group",
    r.part_of,
    coalesce(bool_or(c.side = 'retired'), false) AS retired
FROM reached AS r
LEFT JOIN changes AS c ON c.key = r.part_of
GROUP BY ALL
ORDER BY ALL
