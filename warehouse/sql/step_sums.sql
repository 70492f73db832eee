-- Question: what do step values add up to, to be taken back or moved?
-- Grain: one (state, action) that anybody has visited. $sign: 1, or -1 to take back.
-- Columns: state, action, depth, visits, returns, squares.
SELECT
    state,
    action,
    min(depth) AS depth,
    ($sign * sum(visits))::BIGINT AS visits,
    $sign * sum(returns) AS returns,
    $sign * sum(squares) AS squares
FROM step_values
GROUP BY state, action
HAVING sum(visits) != 0
