-- Question: which logs were read, and how were they labelled?
-- Grain: one row. Columns: sources, read (an order-free digest of the names of their stretches),
--   labelled (one of the versions of labels), each a number that does not depend on the home.
SELECT
    (SELECT count(*) FROM sources) AS sources,
    (SELECT bit_xor(md5_number_lower(source)) FROM sources) AS read,
    (
        SELECT bit_xor(md5_number_lower(label_version))
        FROM (SELECT DISTINCT label_version FROM labellings)
    ) AS labelled
