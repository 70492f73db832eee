-- Question: of which days are the files of some nights of ingest?
-- Grain: one night of $nights with one day. Columns: night, day.
SELECT DISTINCT night, day FROM all_episodes WHERE list_contains($nights, night) ORDER BY night, day
