-- Question: which groups have some groups become part of, one after the other?
-- Grain: one group of the relation `asked` ("group") with one that it is part of; itself is one.
-- Columns: group (as asked), part_of.
WITH RECURSIVE changes AS MATERIALIZED (
    SELECT key, "group" FROM split_keys WHERE kind = 'group'
),
reached AS (
    SELECT DISTINCT "group", "group" AS part_of FROM asked
    UNION
    SELECT r."group", c."group" FROM reached AS r INNER JOIN changes AS c ON c.key = r.part_of
)
SELECT "group", part_of FROM reached ORDER BY ALL
