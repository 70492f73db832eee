-- Question: which successes that earlier builds imitated come up in tonight's draw and still fit?
-- Grain: one episode whose draw is less than $below, in the order of the draw, then by id.
-- Columns: episode_id, group (as the latest of those builds has it), body_digest.
-- Relations: `earlier` (build, place), `nights` that those builds and tonight are of: no other one's
--   episodes are looked at; `own` (episode_id) whose bodies are left out.
-- A draw is ($factor * x + $shift) modulo a prime of 32 bits, x being the id's first 32 bits, of
-- which a digest's are as good as any. A label that was never made again is still a success, so
-- only later revisions are looked at.
WITH drawn AS (
    SELECT
        t.episode_id,
        (
            $factor::UBIGINT * ('0x' || left(t.episode_id, 8))::UBIGINT + $shift::UBIGINT
        ) % 4294967291 AS draw,
        arg_max(t."group", e.place) AS "group"
    FROM trajectories AS t INNER JOIN earlier AS e USING (build)
    WHERE t.use = 'sft' AND t.desirable AND draw < $below
    GROUP BY t.episode_id
),
changed AS (
    SELECT
        episode_id,
        arg_max(state = 'success' AND NOT infrastructure_error, revision) AS succeeded
    FROM labels
    WHERE revision > 0 AND episode_id IN (SELECT episode_id FROM drawn)
    GROUP BY episode_id
),
bodies AS MATERIALIZED (
    SELECT episode_id, body_digest
    FROM episodes
    WHERE night IN (SELECT night FROM nights)
        AND episode_id IN (SELECT episode_id FROM drawn UNION ALL SELECT episode_id FROM own)
)
SELECT d.episode_id, d."group", b.body_digest
FROM drawn AS d
INNER JOIN bodies AS b USING (episode_id)
LEFT JOIN changed AS c USING (episode_id)
ANTI JOIN (SELECT body_digest FROM bodies SEMI JOIN own USING (episode_id)) AS o
    USING (body_digest)
WHERE coalesce(c.succeeded, true) AND d."group" IS NOT NULL
ORDER BY d.draw, d.episode_id
