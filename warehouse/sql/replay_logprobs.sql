-- Question: which training episodes of a build say with which tokens, and how likely, they acted?
-- Grain: one episode that any row of the build $build shows to a trainer, by id.
-- Columns: episode_id, problem (scenario, else the question), policy_version, state and success of
--   the newest label (null where the run broke), and messages (what the agent saw and said), tools,
--   token_ids, logprobs: null where the log has not one log-probability a token.
WITH shown AS (
    SELECT episode_id FROM trajectories WHERE build = $build
    UNION
    SELECT unnest([chosen_episode, rejected_episode]) FROM pairs WHERE build = $build
    UNION
    SELECT unnest(logged) FROM scenarios WHERE build = $build
),
logged AS (
    SELECT
        *,
        coalesce(len(token_ids), 0) > 0 AND len(token_ids) = coalesce(len(logprobs), 0) AS told
    FROM episodes
    WHERE episode_id IN (SELECT episode_id FROM shown)
)
SELECT
    e.episode_id,
    coalesce(nullif(e.scenario_id, ''), nullif(e.question, ''), e.episode_id) AS problem,
    e.policy_version,
    if(l.infrastructure_error, NULL, l.state) AS state,
    if(l.infrastructure_error, NULL, l.success) AS success,
    if(told, agent_view(e.messages), NULL) AS messages,
    if(told, e.tools, NULL) AS tools,
    if(told, e.token_ids, NULL) AS token_ids,
    if(told, e.logprobs, NULL) AS logprobs
FROM logged AS e
LEFT JOIN latest_labels AS l USING (episode_id)
ORDER BY e.episode_id
