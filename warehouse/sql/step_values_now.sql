-- Question: what is each action in each state worth, by what became of the episodes so far?
-- Grain: one (state, action) that some labelled episode took.
-- Columns: state, action, depth (acting steps before), visits, q (mean return of the action),
--   v (mean return of the state), advantage (q - v, drawn to 0 as if $shrinkage more visits had
--   come to v), rivals (actions taken in the state, this one included).
WITH sums AS (
    SELECT
        state,
        action,
        min(depth) AS depth,
        sum(visits)::BIGINT AS visits,
        sum(returns) AS returns
    FROM step_values
    GROUP BY state, action
    HAVING sum(visits) > 0
),
states AS (
    SELECT state, sum(returns) / sum(visits) AS v, count(*) AS rivals
    FROM sums
    GROUP BY state
)
SELECT
    sums.state,
    sums.action,
    sums.depth,
    sums.visits,
    sums.returns / sums.visits AS q,
    states.v,
    (q - v) * sums.visits / (sums.visits + $shrinkage) AS advantage,
    states.rivals
FROM sums
INNER JOIN states USING (state)
