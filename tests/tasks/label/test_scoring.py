"""The reward model inside the label stage: it labels what nothing else does, and nothing else."""

import pytest

from schemas.label_config import RewardModelConfig
from schemas.training_config import TinyPolicy, TrainConfig
from tasks.build.build import build
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

FIRST, SECOND = "2026-01-01", "2026-01-02"
RECIPE = RewardModelConfig(
    epochs=4, learning_rate=5e-3, min_pairs=10, held_out=20, max_ece=0.45, min_auc=0.6
)


def talk(chat, name, number, succeeded, **keys):
    """Make an episode whose success can be seen: the answer passes on what the tool said."""
    calls = (("select n", str(number) if succeeded else "Error: none"),)
    answer = f"It is {number}." if succeeded else "I could not find it."
    question = f"how many tea in area {number}?"
    return chat(name, question=question, calls=calls, answer=answer, **keys)


@pytest.mark.slow
def test_unlabelled_episodes_are_labelled_by_a_model_that_has_proven_itself(
    config, clock, chat, write
):
    small = TinyPolicy(hidden_size=32, layers=2, heads=2, vocabulary=420, context=256)
    config = config.model_copy(
        update={
            "train": TrainConfig(policy=small),
            # Errors at the end are evidence, which would leave nothing to the model.
            "label": config.label.model_copy(
                update={"assumed": {}, "failure_below": 0.05, "reward_model": RECIPE}
            ),
            "build": config.build.model_copy(update={"held_out_share": 0.0}),
        }
    )
    taught = [
        talk(chat, f"t{n}{won}", n, won, scenario_id=f"s{n}", reward=float(won))
        for n in range(60)
        for won in (True, False)
    ]
    ingest(config, [write("a.jsonl", *taught)], night=FIRST, clock=clock)
    assert label(config, night=FIRST, clock=clock)["reward_model"]["state"] == "not trained"
    assert build(config, night=FIRST, clock=clock)["pairs"] >= RECIPE.min_pairs
    checked = [
        talk(chat, f"c{n}", 100 + n, n % 2 == 0, reward=float(n % 2 == 0)) for n in range(60)
    ]
    asked = [talk(chat, f"u{n}", 200 + n, n % 2 == 0) for n in range(20)]
    ingest(config, [write("b.jsonl", *checked, *asked)], night=SECOND, clock=clock)
    account = label(config, night=SECOND, clock=clock)
    assert account["reward_model"]["state"] == "scored", account["reward_model"]["reason"]
    rows = Warehouse(config.home).sql(
        "SELECT e.logged_id, l.* FROM latest_labels l JOIN episodes e USING (episode_id)"
        " WHERE l.decided_by = 'reward_model'"
    )
    named = {row["logged_id"]: row for row in rows.to_pylist()}
    assert named
    assert all(name.startswith("u") for name in named)
    right = sum((int(n[1:]) % 2 == 0) == (row["state"] == "success") for n, row in named.items())
    assert right >= 0.8 * len(named)
    assert account["by_source"]["reward_model"] == len(named)
    row = next(iter(named.values()))
    assert (row["revision"], row["evidence"][-1]["kind"]) == (1, "reward_model")
    again = label(config, night=SECOND, clock=clock)
    assert again["labelled"] == 0
