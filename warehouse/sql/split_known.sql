-- Question: what does the split remember of some keys, and what has become of their groups?
-- Grain: one remembered key of the relation `asked` (key), or one change of a group that such a
--   key belongs to, directly or through groups that became part of others.
-- Columns: key, kind, group, side, as in `split_keys`. `kind` is "group" for changes of groups.
-- Of the history, two passes over numbers and dictionary columns.
WITH RECURSIVE found AS MATERIALIZED (
    SELECT DISTINCT key, kind, "group", side
    FROM split_keys
    WHERE kind != 'group' AND key IN (SELECT key FROM asked)
),
changes AS MATERIALIZED (
    SELECT DISTINCT key, kind, "group", side FROM split_keys WHERE kind = 'group'
),
reached AS (
    SELECT "group" FROM found
    UNION
    SELECT c."group" FROM reached AS r INNER JOIN changes AS c ON c.key = r."group"
)
SELECT * FROM found
UNION ALL
SELECT * FROM changes WHERE key IN (SELECT "group" FROM reached)
ORDER BY ALL
