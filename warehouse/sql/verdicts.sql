-- Question: which labelled episodes are there to choose from, in narrow columns?
-- Grain: one labelled episode that no infrastructure error ended.
-- Columns: episode_id, night, scenario_id, session_id, question, body_digest, state, success,
--   confidence, total.
SELECT DISTINCT ON (e.episode_id)
    e.episode_id,
    e.night,
    e.scenario_id,
    e.session_id,
    e.question,
    e.body_digest,
    l.state,
    l.confidence,
    l.total
FROM episodes AS e
INNER JOIN latest_labels AS l USING (episode_id)
WHERE NOT l.infrastructure_error
ORDER BY e.episode_id
