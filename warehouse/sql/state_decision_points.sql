-- Question: at which states did logged episodes act differently, and did it matter?
-- Grain: one row: decision_points (states with two actions whose mean returns differ by at least
--   $gap) and decision_points_with_support (the same among actions taken at least $support times).
-- Counted from nothing over all of `step_values`; `state_changes` keeps the count up to date.
WITH sums AS (
    SELECT state, sum(visits) AS n, sum(returns) / n AS q
    FROM step_values
    GROUP BY state, action
    HAVING n > 0
),
gaps AS (
    SELECT
        max(q) - min(q) AS gap,
        max(q) FILTER (n >= $support) - min(q) FILTER (n >= $support) AS supported_gap
    FROM sums
    GROUP BY state
)
-- The last digits of a sum depend on its order: a gap may fall short by a billionth.
SELECT
    count(*) FILTER (gap >= $gap - 1e-9) AS decision_points,
    count(*) FILTER (supported_gap >= $gap - 1e-9) AS decision_points_with_support
FROM gaps
