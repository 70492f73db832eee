-- Question: what do the newest labels say, of episodes that no other has taken the place of?
-- Grain: one labelled episode. Columns: those that the label stage adds up.
SELECT
    night, state, decided_by, success, cost, risk, total, predicted, infrastructure_error, evidence
FROM latest_labels
