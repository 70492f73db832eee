-- Question: where do all labels stand now?
-- Grain: one row a night of ingest.
-- Columns: night, episodes, success, failure, unlabelled, infrastructure_errors, outcome, feedback,
--   implicit (labelled episodes by deciding tier), labelled, sums of the terms (success_sum,
--   cost_sum, risk_sum, total_sum) over labelled episodes, and counts for tripwires.
SELECT
    e.night,
    count(*) AS episodes,
    count(*) FILTER (state = 'success') AS success,
    count(*) FILTER (state = 'failure') AS failure,
    count(*) FILTER (state = 'unlabelled' AND NOT l.infrastructure_error) AS unlabelled,
    count(*) FILTER (l.infrastructure_error) AS infrastructure_errors,
    count(*) FILTER (decided_by = 'outcome') AS outcome,
    count(*) FILTER (decided_by = 'feedback') AS feedback,
    count(*) FILTER (decided_by = 'implicit') AS implicit,
    count(total) AS labelled,
    sum(l.success) AS success_sum,
    sum(cost) FILTER (total IS NOT NULL) AS cost_sum,
    sum(risk) FILTER (total IS NOT NULL) AS risk_sum,
    sum(total) AS total_sum,
    count(*) FILTER (state = 'success' AND risk >= $risky) AS success_with_tool_errors,
    count(*) FILTER (
        state = 'success'
        AND list_contains(list_transform(evidence, lambda e: e.kind), 'no_tool_evidence')
    ) AS success_without_tools
FROM latest_labels AS l
INNER JOIN (SELECT DISTINCT episode_id, night FROM episodes) AS e USING (episode_id)
GROUP BY e.night
ORDER BY e.night
