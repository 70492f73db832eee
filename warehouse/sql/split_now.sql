-- Question: on which side do groups stand now?
-- Grain: one group of the relation `reached` (the answer of `split_reached`) that has any rows.
-- Columns: group, side: `retired` once anything that it is part of is, as then rows of other sides
--   stand beside that one.
-- The relation is an answer of its own, so that the history is matched against it and not kept.
SELECT
    r."group",
    CASE WHEN min(k.side) = max(k.side) THEN min(k.side) ELSE 'retired' END AS side
FROM split_keys AS k
INNER JOIN reached AS r ON r.part_of = k."group"
GROUP BY r."group"
ORDER BY r."group"
