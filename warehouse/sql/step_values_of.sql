-- Question: what are the actions in some states worth, by what became of the episodes so far?
-- Grain: one (state, action) of the states in relation `wanted` (state).
-- Columns: state, action, visits, q (mean return of the action), v (mean return of the state),
--   advantage (q - v, drawn to 0 as if $shrinkage more visits had come to v), rivals (actions taken
--   in the state, this one included).
WITH sums AS (
    -- Exactly: the last digits of a sum of floats depend on its order.
    SELECT
        state,
        action,
        sum(visits)::BIGINT AS visits,
        sum(returns::DECIMAL(28, 12)) AS exact
    FROM step_values
    WHERE state IN (SELECT state FROM wanted)
    GROUP BY state, action
    HAVING sum(visits) > 0
),
states AS (
    SELECT state, (sum(exact) / sum(visits))::DOUBLE AS v, count(*) AS rivals
    FROM sums
    GROUP BY state
)
SELECT
    state,
    action,
    visits,
    (exact / visits)::DOUBLE AS q,
    v,
    (q - v) * visits / (visits + $shrinkage) AS advantage,
    rivals
FROM sums INNER JOIN states USING (state)
ORDER BY state, action
