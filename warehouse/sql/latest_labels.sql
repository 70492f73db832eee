-- Question: what is the verdict on each episode now?
-- Grain: one labelled episode; also there as the view `latest_labels`.
-- Columns: those of `labels`.
SELECT labels.*
FROM labels
INNER JOIN (
    SELECT episode_id, max(revision) AS revision FROM labels GROUP BY episode_id
) AS newest USING (episode_id, revision)
