-- Question: what must be added to step values so that they say what the newest labels say?
-- Grain: one (state, action) whose sums differ. Columns: state, action, depth, visits, returns,
--   squares: the differences.
WITH acted AS (
    SELECT unnest(list_filter(
        list_zip(step_states, step_actions, step_returns), lambda z: z[1] != 0
    ), recursive := false) AS act,
    generate_subscripts(list_filter(step_states, lambda s: s != 0), 1) - 1 AS depth
    FROM latest_labels
    WHERE total IS NOT NULL
),
said AS (
    SELECT
        act[1] AS state,
        act[2] AS action,
        depth,
        1 AS visits,
        act[3] AS returns,
        act[3] * act[3] AS squares
    FROM acted
    UNION ALL
    SELECT state, action, depth, -visits, -returns, -squares FROM step_values
)
SELECT
    state,
    action,
    min(depth)::BIGINT AS depth,
    sum(visits)::BIGINT AS visits,
    sum(returns) AS returns,
    sum(squares) AS squares
FROM said
GROUP BY state, action
HAVING sum(visits) != 0 OR abs(sum(returns)) > 1e-6
