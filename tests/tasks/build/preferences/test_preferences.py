"""All kinds together, of made-up nights and of real logs: ids, order, sides, and what adds up."""

import json
from collections import Counter
from typing import Any, NamedTuple

import polars as pl
import pytest

from schemas.digest import digest
from schemas.tables import SCHEMAS
from tasks.build.preferences.preferences import COLUMNS

BAD, MENDED = ("select x", "Error: no x"), ("select 1", "1")
OTHER = ("select 2", "2")


def record(name, reward, *calls):
    """Make a log record of one problem: a question, calls with their results, and an answer."""
    messages = [{"role": "user", "content": "How many?"}]
    for query, result in calls:
        function = {"name": "run_sql", "arguments": json.dumps({"query": query})}
        call = {"id": "c", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": "c", "content": result})
    messages.append({"role": "assistant", "content": f"{name}."})
    return {"id": name, "scenario_id": "s", "reward": reward, "messages": messages}


@pytest.fixture(scope="module")
def everything(tmp_path_factory, new_night):
    """Label a night that gives pairs of every kind."""
    lines = [record(f"won{i}", 1.0, BAD, MENDED) for i in range(3)]
    lines += [record(f"lost{i}", 0.0, OTHER) for i in range(3)]
    lines += [{"episode_id": "lost0", "kind": "correction", "comment": "It is 42."}]
    folder = tmp_path_factory.mktemp("everything")
    logs = folder / "a.jsonl"
    logs.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    night = new_night(folder / "home")
    night.label(str(logs))
    night.label(str(write_later(folder)), night="2026-01-03")
    return night


def write_later(folder):
    """Write what another night brings to the same problem."""
    logs = folder / "b.jsonl"
    logs.write_text(json.dumps(record("later", 0.0, MENDED)))
    return logs


class Real(NamedTuple):
    """A home of real logs."""

    name: str
    night: Any


@pytest.fixture(scope="module", params=["tau-bench", "intercode-sql"])
def real(request, real_logs, tmp_path_factory, new_night):
    night = new_night(tmp_path_factory.mktemp("real"))
    night.label(str(real_logs / request.param))
    return Real(request.param, night)


def own(guards):
    """Add up the guards of episode pairs."""
    others = ("decision_", "correction_", "retry_")
    return sum(count for name, count in guards.items() if not name.startswith(others))


def test_one_night_gives_every_kind_and_each_pair_its_own_id(everything):
    pairs = everything.choose()
    kinds = Counter(pairs.rows["kind"])
    # Two of 9 combinations are kept, one state, one correction, two of three repairs.
    assert kinds == {"episode": 2, "decision_point": 1, "correction": 1, "retry": 2}
    assert pairs.candidates == 9
    assert own(pairs.guards) + kinds["episode"] == 9
    assert pairs.rows["pair_id"].n_unique() == 6
    assert pairs.rows.schema == pl.Schema(COLUMNS)


def test_ids_say_what_makes_the_pair_and_never_change(everything):
    rows = {row["kind"]: row for row in everything.choose().rows.to_dicts()}
    # The failed call of a retry is the second message.
    for kind, said in {"episode": None, "retry": 2}.items():
        row = rows[kind]
        named = f"{kind}:{row['chosen_episode']}:{row['rejected_episode']}:{said}"
        assert row["pair_id"] == digest(named, 24)


def test_pairs_are_ranked_surest_first(everything):
    rows = everything.choose().rows
    assert rows["rank"].to_list() == list(range(6))
    assert rows["confidence"].is_sorted(descending=True)


def test_the_order_in_which_episodes_come_changes_nothing(everything):
    expected = everything.choose()
    for seed in range(3):
        mixed = everything.verdicts().sample(fraction=1, shuffle=True, seed=seed)
        again = everything.choose(mixed)
        assert again.rows.equals(expected.rows)
        assert again.guards == expected.guards


def test_rows_have_the_columns_of_their_table_in_order_of_rank(everything):
    pairs = everything.choose()
    chosen = pairs.rows.sample(fraction=1, shuffle=True, seed=0).with_columns(build=pl.lit("b"))
    relations = {"chosen": chosen.to_arrow(compat_level=pl.CompatLevel.oldest())}
    rows = everything.catalog().query("pair_rows", {"night": "2026-01-02"}, relations)
    assert rows.schema.equals(SCHEMAS["pairs"])
    assert rows["rank"].to_pylist() == list(range(6))
    assert rows["pair_id"].to_pylist() == pairs.rows["pair_id"].to_list()
    assert set(rows["scenario_id"].to_pylist()) == {"s"}


def test_without_a_train_side_there_is_no_pair(everything):
    held = everything.verdicts().with_columns(side=pl.lit("held_out"))
    pairs = everything.choose(held)
    assert pairs.rows.is_empty()
    assert pairs.rows.schema == pl.Schema(COLUMNS)
    assert pairs.guards["held_out"] == own(pairs.guards) == 9


def test_no_pair_has_a_side_that_is_not_trained_on(everything):
    known = everything.verdicts()
    for seed in range(4):
        names = known["episode_id"].sample(3, seed=seed).implode()
        side = pl.when(pl.col("episode_id").is_in(names)).then(pl.lit("retired")).otherwise("side")
        divided = known.with_columns(side=side)
        train = set(divided.filter(pl.col("side") == "train")["episode_id"])
        pairs = everything.choose(divided)
        assert set(pairs.rows["chosen_episode"]) | set(pairs.rows["rejected_episode"]) <= train
        assert own(pairs.guards) + (pairs.rows["kind"] == "episode").sum() == 9


def test_another_nights_episodes_are_in_no_pair(everything):
    own_ids = set(everything.verdicts()["episode_id"])
    rows = everything.choose().rows
    assert len(own_ids) == 6
    assert set(rows["chosen_episode"]) | set(rows["rejected_episode"]) <= own_ids
    assert everything.choose(night="2026-01-03").candidates == 0


def test_real_logs_have_their_candidates_and_every_one_is_accounted_for(real):
    name, night = real
    pairs = night.choose()
    expected = {"tau-bench": (26, 8), "intercode-sql": (518, 100)}[name]
    labelled = night.verdicts().filter(pl.col("state") != "unlabelled")
    both = labelled.group_by("problem").agg(pl.col("state").n_unique()).filter(pl.col("state") > 1)
    assert (pairs.candidates, len(both)) == expected
    assert own(pairs.guards) + (pairs.rows["kind"] == "episode").sum() == pairs.candidates
    # Simulated users word their first message anew each time: no prompt of tau-bench is shared.
    assert pairs.guards["prompt"] == {"tau-bench": 26, "intercode-sql": 0}[name]
    per_problem = (
        pairs.rows.join(night.verdicts(), left_on="chosen_episode", right_on="episode_id")
        .group_by("problem", "kind").len()["len"]
    )  # fmt: skip
    assert per_problem.max() <= 2


def test_both_sides_of_a_real_pair_go_on_from_what_the_agent_saw(real):
    name, night = real
    seen = night.seen()
    kinds = Counter()
    pairs = night.choose()
    for place, row in zip(pairs.rows.to_dicts(), night.rows(pairs), strict=True):
        kinds[row["kind"]] += 1
        logged, other = seen[row["chosen_episode"]], seen[row["rejected_episode"]]
        cut = len(row["prompt"])
        assert row["chosen"] != row["rejected"]
        assert row["prompt"] == logged[:cut]
        assert row["chosen"][0]["role"] == row["rejected"][0]["role"] == "assistant"
        if row["kind"] == "retry":
            assert (row["rejected"], row["chosen"]) == ([logged[cut]], [logged[cut + 2]])
            continue
        assert row["chosen"] == logged[cut : cut + len(row["chosen"])]
        begin = len(other) - len(row["rejected"])
        if row["kind"] == "episode":
            assert row["rejected"] == other[begin:]
            assert cut + len(row["chosen"]) == len(logged)
        else:
            at = place["rejected_start"] - 1
            assert row["rejected"] == [other[at]]
            assert acts_before(other[:at]) == acts_before(row["prompt"])
            assert acts_before(row["chosen"]) != acts_before(row["rejected"])
    assert kinds["decision_point"] == {"tau-bench": 1, "intercode-sql": 11}[name]


def acts_before(messages):
    """List calls and results, without what was said around them."""
    return [
        (m["role"], m["content"] if m["role"] == "tool" else None,
         [(c["name"], c["arguments"]) for c in m["tool_calls"]])
        for m in messages
        if m["tool_calls"] or m["role"] == "tool"
    ]  # fmt: skip
