-- Question: which labelled episodes of a night are there to choose from, in narrow columns?
-- Grain: one labelled episode that no infrastructure error ended and no other supersedes.
-- Columns: episode_id, day, scenario_id, session_id, user_id, question, body_digest, problem (scenario,
--   else the question, else the body), state, confidence, total, decided_by, step_states, step_actions,
--   step_returns. $night: `YYYY-MM-DD`.
WITH newest AS (
    SELECT *
    FROM labels
    WHERE night = $night
    QUALIFY row_number() OVER (PARTITION BY episode_id ORDER BY revision DESC) = 1
)
SELECT
    e.episode_id,
    e.day,
    e.scenario_id,
    e.session_id,
    e.user_id,
    e.question,
    e.body_digest,
    coalesce(
        e.scenario_id, 'question:' || nullif(e.question, ''), 'body:' || e.body_digest
    ) AS problem,
    l.state,
    l.confidence,
    l.total,
    l.decided_by,
    l.step_states,
    l.step_actions,
    l.step_returns
FROM (
    SELECT episode_id, day, scenario_id, session_id, user_id, question, body_digest
    FROM episodes
    WHERE night = $night
) AS e
INNER JOIN newest AS l USING (episode_id)
WHERE NOT l.infrastructure_error
ORDER BY e.episode_id
