-- Question: what is the newest label of some episodes?
-- Grain: one episode of the relation `wanted` (episode_id, place) that has a label.
-- Columns: place, and those of `labels`. Only files of their days need to be looked at.
SELECT w.place, l.*
FROM labels AS l INNER JOIN wanted AS w USING (episode_id)
QUALIFY row_number() OVER (PARTITION BY l.episode_id ORDER BY l.revision DESC) = 1
ORDER BY w.place
