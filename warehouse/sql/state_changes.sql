-- Question: how many decision points do new step values make, or unmake?
-- Grain: one row: decision_points and decision_points_with_support (as in state_decision_points),
--   each the change that `fresh` brings to the rows of `step_values`; negative where fewer are left.
-- Relation `fresh`: state, action, visits, returns of rows that are about to be appended.
-- Of the history, only the states that `fresh` touches are summed.
WITH rows AS (
    SELECT state, action, visits, returns, false AS is_fresh
    FROM step_values
    WHERE state IN (SELECT state FROM fresh)
    UNION ALL
    SELECT state, action, visits, returns, true AS is_fresh FROM fresh
),
sums AS (
    SELECT
        state,
        coalesce(sum(visits) FILTER (NOT is_fresh), 0) AS n_before,
        coalesce(sum(returns) FILTER (NOT is_fresh), 0) / n_before AS q_before,
        sum(visits) AS n_after,
        sum(returns) / n_after AS q_after
    FROM rows
    GROUP BY state, action
),
gaps AS (
    SELECT
        max(q_before) FILTER (n_before > 0) - min(q_before) FILTER (n_before > 0) AS before,
        max(q_before) FILTER (n_before >= $support)
        - min(q_before) FILTER (n_before >= $support) AS supported_before,
        max(q_after) FILTER (n_after > 0) - min(q_after) FILTER (n_after > 0) AS after,
        max(q_after) FILTER (n_after >= $support)
        - min(q_after) FILTER (n_after >= $support) AS supported_after
    FROM sums
    GROUP BY state
)
-- The last digits of a sum depend on its order: a gap may fall short by a billionth.
SELECT
    count(*) FILTER (after >= $gap - 1e-9)
    - count(*) FILTER (before >= $gap - 1e-9) AS decision_points,
    count(*) FILTER (supported_after >= $gap - 1e-9)
    - count(*) FILTER (supported_before >= $gap - 1e-9) AS decision_points_with_support
FROM gaps
