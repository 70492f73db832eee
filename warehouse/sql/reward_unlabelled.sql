-- Question: which episodes has nothing but, at most, a reward model labelled?
-- Grain: one labelled episode up to the night $night, newest nights first, at most $most.
-- Columns: episode_id, messages (what the agent saw and said), tools.
-- Those that a reward model has labelled before are there too: asking twice gives the same answer.
WITH wanted AS (
    SELECT DISTINCT e.episode_id, e.night
    FROM episodes AS e
    INNER JOIN latest_labels AS l USING (episode_id)
    WHERE (l.state = 'unlabelled' OR l.decided_by = 'reward_model')
        AND NOT l.infrastructure_error
        AND coalesce(e.steps, 1) > 0
        AND e.night <= $night
    ORDER BY e.night DESC, e.episode_id
    LIMIT $most
)
SELECT DISTINCT ON (e.episode_id)
    e.episode_id,
    agent_view(e.messages) AS messages,
    e.tools
FROM episodes AS e
INNER JOIN wanted AS w USING (episode_id)
ORDER BY e.episode_id
