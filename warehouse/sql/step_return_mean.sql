-- Question: what is the mean return-to-go of the steps of some episodes?
-- Grain: one row. Columns: mean (0 without a step). Relation: chosen (episode_id).
SELECT coalesce(avg(step), 0) AS mean
FROM (
    SELECT unnest(step_returns) AS step
    FROM (
        SELECT step_returns
        FROM labels
        WHERE episode_id IN (SELECT episode_id FROM chosen)
        QUALIFY row_number() OVER (PARTITION BY episode_id ORDER BY revision DESC) = 1
    ) AS newest
) AS steps
