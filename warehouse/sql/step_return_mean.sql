-- Question: what is the mean return-to-go of the steps of some episodes?
-- Grain: one row. Columns: mean (0 without a step). Relations: chosen (episode_id), nights.
-- Summed exactly: the last digits of a sum of floats depend on its order.
SELECT coalesce(sum(step::DECIMAL(28, 12)) / count(*), 0)::DOUBLE AS mean
FROM (
    SELECT unnest(step_returns) AS step
    FROM (
        SELECT step_returns
        FROM labels
        WHERE night IN (SELECT night FROM nights)
            AND episode_id IN (SELECT episode_id FROM chosen)
        QUALIFY row_number() OVER (PARTITION BY episode_id ORDER BY revision DESC) = 1
    ) AS newest
) AS steps
