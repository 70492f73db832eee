-- Question: what do the rows of some episodes hold?
-- Grain: one episode of the relation `wanted` (episode_id, place), in order of place.
-- Columns: place, and those of `episodes`.
SELECT w.place, e.*
FROM episodes AS e INNER JOIN wanted AS w USING (episode_id)
ORDER BY w.place
