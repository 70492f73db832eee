-- Question: of which nights are there labelled episodes?
-- Grain: one night. Columns: night.
SELECT DISTINCT night FROM labels WHERE night IS NOT NULL AND night != '' ORDER BY night
