-- Question: on which labelled episodes can a reward model be checked?
-- Grain: one episode whose outcome or feedback decided its label, with no part in a pair of the
--   builds, nor the body of one that has; at most $most.
-- Columns: episode_id, succeeded, messages (what the agent saw and said), tools.
-- $builds: those it learned from. $night: the night that asks.
-- Held-out episodes come first, then those that no earlier night had seen; others, which a policy
-- may have learned from, only fill up to $wanted.
-- The keys of the split are those of `split_digests`; no group is held out that a retired one holds.
WITH RECURSIVE taught AS (
    SELECT chosen_episode AS episode_id FROM pairs WHERE list_contains($builds, build)
    UNION
    SELECT rejected_episode FROM pairs WHERE list_contains($builds, build)
),
known AS (
    SELECT key, kind, "group", side FROM split_keys WHERE night < $night AND kind != 'near'
),
retired AS (
    SELECT key AS "group" FROM known WHERE kind = 'group' AND side = 'retired'
    UNION
    SELECT k.key FROM known AS k INNER JOIN retired AS r USING ("group") WHERE k.kind = 'group'
),
sides AS (
    SELECT
        key,
        bool_and(side = 'held_out' AND "group" NOT IN (SELECT "group" FROM retired)) AS held_out
    FROM known
    WHERE kind != 'group'
    GROUP BY key
),
labelled AS (
    SELECT DISTINCT ON (e.episode_id)
        e.episode_id,
        e.session_id,
        e.scenario_id,
        e.question,
        e.body_digest,
        l.state = 'success' AS succeeded
    FROM episodes AS e
    INNER JOIN latest_labels AS l USING (episode_id)
    WHERE l.state IN ('success', 'failure')
        AND l.decided_by IN ('outcome', 'feedback')
        AND NOT l.infrastructure_error
        AND coalesce(e.steps, 1) > 0
        AND e.night <= $night
        AND e.episode_id NOT IN (SELECT episode_id FROM taught)
        AND coalesce(e.body_digest, '') NOT IN (
            SELECT body_digest
            FROM episodes
            WHERE episode_id IN (SELECT episode_id FROM taught) AND body_digest != ''
        )
),
keyed AS (
    SELECT
        episode_id,
        succeeded,
        unnest([
            'session:' || nullif(session_id, ''),
            'scenario:' || nullif(scenario_id, ''),
            'question:' || coalesce(nullif(question, ''), nullif(body_digest, ''), episode_id)
        ]) AS named
    FROM labelled
),
placed AS (
    SELECT
        k.episode_id,
        any_value(k.succeeded) AS succeeded,
        CASE
            WHEN bool_or(NOT s.held_out) THEN 2
            WHEN bool_or(s.held_out) THEN 0
            ELSE 1
        END AS place
    FROM keyed AS k
    LEFT JOIN sides AS s ON s.key = (md5_number_lower(k.named) & 9223372036854775807)::BIGINT
    GROUP BY k.episode_id
),
chosen AS (
    SELECT *
    FROM placed
    QUALIFY place < 2 OR row_number() OVER (ORDER BY place, episode_id) <= $wanted
    ORDER BY place, episode_id
    LIMIT $most
)
SELECT
    c.episode_id,
    c.succeeded,
    agent_view(e.messages) AS messages,
    e.tools
FROM chosen AS c
INNER JOIN (
    SELECT DISTINCT ON (episode_id) episode_id, messages, tools
    FROM episodes
    WHERE episode_id IN (SELECT episode_id FROM chosen)
) AS e USING (episode_id)
ORDER BY c.place, c.episode_id
