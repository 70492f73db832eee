-- Question: what are the pairs of a build like?
-- Grain: one kind of pair. Columns: kind, pairs, scenarios, margin and confidence (medians), support
--   (least; null but for decision points). $build: the build's digest.
SELECT
    kind,
    count(*) AS pairs,
    count(DISTINCT scenario_id) AS scenarios,
    quantile_disc(margin, 0.5) AS margin,
    quantile_disc(confidence, 0.5) AS confidence,
    min(support) AS support
FROM pairs
WHERE build = $build
GROUP BY kind
ORDER BY kind
