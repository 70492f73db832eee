-- Question: on which days were beginnings read of episodes of some nights, after the whole?
-- Grain: one night of $nights with one day, also of its other episodes. Columns: night, day.
-- The view `episodes` needs their files too. Where none is superseded, nothing is asked.
SELECT DISTINCT night, day FROM episodes WHERE list_contains($nights, night) ORDER BY night, day
