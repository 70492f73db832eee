-- Question: which scenarios of held-out episodes with a verdict can be replayed?
-- Grain: one scenario, or one episode that has none. Columns: scenario, place (of the build in
--   $builds that first held it out), group (as that build had it), logged (ids of its episodes).
-- $builds: digests, oldest first, so that what is held out later comes after what was before.
-- Groups that are retired by now may have been trained on: they are left out.
WITH RECURSIVE retired AS (
    SELECT key AS "group" FROM split_keys WHERE kind = 'group' AND side = 'retired'
    UNION
    SELECT k.key
    FROM split_keys AS k INNER JOIN retired AS r USING ("group")
    WHERE k.kind = 'group'
)
SELECT
    coalesce(nullif(scenario_id, ''), concat('episode ', episode_id)) AS scenario,
    min(list_position($builds, build))::BIGINT AS place,
    arg_min("group", list_position($builds, build)) AS "group",
    list_sort(list_distinct(list(episode_id))) AS logged
FROM held_out
WHERE list_contains($builds, build)
    AND state IN ('success', 'failure')
    AND "group" NOT IN (SELECT "group" FROM retired)
GROUP BY ALL
ORDER BY scenario
