-- Question: how long are the episodes that a build shows to a trainer whole?
-- Grain: one of messages, steps, characters. Columns: measure, episodes, median, often (the 95th of
--   a hundred), longest, bins (number of episodes of 0, of 1, of 2 to 3, of 4 to 7, ...).
-- $build: the build's digest. An episode counts once, whatever it is used for. Characters are those
--   of texts, and of names and arguments of calls.
WITH sizes AS (
    SELECT DISTINCT
        episode_id,
        len(messages) AS messages,
        len(list_filter(messages, lambda m: m.role = 'assistant')) AS steps,
        coalesce(list_sum(list_transform(
            messages,
            lambda m: len(coalesce(m.content, '')) + coalesce(list_sum(
                list_transform(m.tool_calls, lambda c: len(c.name) + len(c.arguments))
            ), 0)
        )), 0)::BIGINT AS characters
    FROM trajectories
    WHERE build = $build
        AND use IN ('sft', 'kto')
        AND (use = 'kto' OR episode_id NOT IN (
            SELECT episode_id FROM trajectories WHERE build = $build AND use = 'kto'
        ))
),
binned AS (
    SELECT
        measure,
        amount,
        if(amount = 0, 0, floor(log2(amount)) + 1)::BIGINT AS bin
    FROM (UNPIVOT sizes ON messages, steps, characters INTO NAME measure VALUE amount)
)
SELECT
    measure,
    count(*) AS episodes,
    quantile_disc(amount, 0.5) AS median,
    quantile_disc(amount, 0.95) AS often,
    max(amount) AS longest,
    list_transform(
        range(max(bin) + 1), lambda b: len(list_filter(list(bin), lambda x: x = b))
    ) AS bins
FROM binned
GROUP BY measure
ORDER BY list_position(['messages', 'steps', 'characters'], measure)
