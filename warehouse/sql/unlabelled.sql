-- Question: which episodes of some files have no label yet, and what is known of them?
-- Grain: one episode of the files of `episodes` that are looked at.
-- Columns: what the label stage reads of an episode.
-- The files of `labels` that are looked at are those of the same days; none where all is labelled
-- anew.
SELECT
    episode_id, day, night, logged_id, scenario_id, session_id, user_id, question,
    started_at, ended_at, source_line, logged_reward, infrastructure_error, supersedes, call_ids,
    source_file,
    coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0) AS tokens,
    cost_usd, step_rewards, tools, messages
FROM episodes
WHERE episode_id NOT IN (SELECT episode_id FROM labels)
