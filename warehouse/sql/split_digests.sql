-- Question: by which numbers does the split know what episodes are joined by?
-- Grain: one row of the relation `named` (place, kind, value).
-- Columns: place, kind, key: 63 bits of the MD5 of kind and value.
SELECT
    place,
    kind,
    (md5_number_lower(kind || ':' || value) & 9223372036854775807)::BIGINT AS key
FROM named
ORDER BY place, kind, key
