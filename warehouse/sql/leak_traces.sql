-- Question: by what could episodes betray one another, in narrow columns?
-- Grain: one episode of the relation `asked` (episode_id).
-- Columns: episode_id, night, session_id, scenario_id, user_id, question, body_digest.
SELECT DISTINCT ON (episode_id)
    episode_id,
    night,
    session_id,
    scenario_id,
    user_id,
    question,
    body_digest
FROM episodes
WHERE episode_id IN (SELECT episode_id FROM asked)
ORDER BY episode_id, night
