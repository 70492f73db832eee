"""Groups stay on their side for ever, over any nights, and never grow over both."""

import hashlib
import itertools

import numpy as np
import polars as pl
import pytest

from schemas.config import BuildConfig
from schemas.errors import InvariantError
from schemas.tables import SCHEMAS
from tasks.build.night import night_verdicts
from tasks.build.sides import components, keys_of, known_sides, retired, sides_of
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

NIGHT = "2026-01-02"
HALF = BuildConfig(held_out_share=0.5)
COLUMNS = ("episode_id", "session_id", "scenario_id", "user_id", "question", "body_digest")
WORDS = [f"{a}{b}" for a, b in itertools.product(("red", "sea", "oak", "tin"), "abcdefghijklmnop")]


def episode(name, session=None, scenario=None, user=None, question="", body=None):
    return (name, session, scenario, user, question, name if body is None else body)


def frame(episodes):
    return pl.DataFrame(episodes, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


class Nights:
    """A home whose split is made night by night."""

    def __init__(self, folder, config=HALF):
        self.warehouse, self.config, self.number = Warehouse(folder), config, 0

    @property
    def catalog(self):
        return self.warehouse.catalog(only=["split_keys"])

    def play(self, episodes, config=None):
        """Split one more night, remember it, and give each episode's side, with the split."""
        self.number += 1
        night = f"2026-01-{self.number:02}"
        rows = frame(episodes)
        found = sides_of(self.catalog, rows, config or self.config, night)
        self.warehouse.append("split_keys", found.new_rows)
        return dict(zip(rows["episode_id"], found.side, strict=True)), found

    def sides(self, groups):
        """Give the present side of each group, in their order, after what became of it."""
        known = known_sides(self.catalog, groups)
        sides = groups.to_frame("group").join(known, on="group", how="left", maintain_order="left")
        lost = retired(self.catalog, groups, SCHEMAS["split_keys"].empty_table())
        assert lost.to_list() == [side == "retired" for side in sides["side"]]
        return sides["side"].to_list()


@pytest.fixture
def nights(tmp_path):
    return Nights(tmp_path)


def ask(number):
    return f"how many boats has harbour {number}?"


def alone(start, stop):
    return [episode(f"e{i}", question=ask(i)) for i in range(start, stop)]


def test_what_shares_a_session_scenario_or_question_is_on_one_side(nights):
    chains = []
    for i in range(200):
        chains.append(episode(f"a{i}", scenario=f"sc{i}", session=f"se{i}"))
        chains.append(episode(f"b{i}", session=f"se{i}", question=ask(i)))
        chains.append(episode(f"c{i}", question=ask(i)))
    side, found = nights.play(chains)
    assert found.group.n_unique() == 200
    for i in range(200):
        assert side[f"a{i}"] == side[f"b{i}"] == side[f"c{i}"]


def test_a_session_a_scenario_and_a_question_of_one_name_are_three_things(nights):
    _, found = nights.play(
        [episode("a", session="x"), episode("b", scenario="x"), episode("c", question="x")]
    )
    assert found.group.n_unique() == 3


def test_keys_are_the_low_bits_of_md5_and_the_smallest_names_the_group(nights):
    _, found = nights.play([episode("a", session="s1", question="why?")])

    def key(text):  # the second half of MD5, as a little-endian number, without its sign
        number = int.from_bytes(
            hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little"
        )
        return number & (2**63 - 1)

    rows = pl.DataFrame(found.new_rows)
    assert set(rows["key"]) >= {key("session:s1"), key("question:why?")}
    assert sorted(rows["kind"]) == ["near", "question", "session"]
    assert rows["group"].unique().to_list() == [rows["key"].min()] == found.group.to_list()


def test_without_a_question_equal_bodies_stay_together_and_others_stand_alone(nights):
    side = [
        episode("a", body="b"), episode("b", body="b"),
        episode("c", body=""), episode("d", body=""), episode("e", None, None, None, None, None),
    ]  # fmt: skip
    groups = nights.play(side)[1].group.to_list()
    assert groups[0] == groups[1]
    assert len(set(groups)) == 4


def test_near_questions_are_one_and_those_with_other_values_are_not(nights):
    long = " ".join(WORDS[:60])
    asked = [
        "How many boats has it, 7?", "how many boats has it (7)", "how many boats has it, 8?",
        # One word of 62 is another: of 64 pairs of neighbours 60 are in both.
        f"{long} before 24", f"{long.replace(WORDS[30], 'moon')} before 24", f"{long} before 25",
    ]  # fmt: skip
    groups = nights.play([episode(f"e{i}", question=q) for i, q in enumerate(asked)])[
        1
    ].group.to_list()
    assert groups[0] == groups[1] != groups[2]
    assert groups[3] == groups[4] != groups[5]
    assert len(set(groups)) == 4


def test_a_short_question_has_one_near_key_and_a_long_one_three(nights):
    rows = frame([episode("a", question=ask(1)), episode("b", question=" ".join(WORDS[:40]))])
    keyed = keys_of(nights.catalog, rows, by_user=False)
    # One exact key each beside them.
    assert np.bincount(keyed.place).tolist() == [2, 4]


def test_users_join_only_where_the_configuration_says_so(nights):
    rows = [episode("a", user="u", question=ask(1)), episode("b", user="u", question=ask(2))]
    assert nights.play(rows)[1].group.n_unique() == 2
    by_user = HALF.model_copy(update={"split_by_user": True})
    assert sides_of(nights.catalog, frame(rows), by_user, NIGHT).group.n_unique() == 1


def test_the_share_of_held_out_groups_is_what_was_asked(nights):
    config = BuildConfig(held_out_share=0.05)
    side, _ = nights.play(alone(0, 20000), config)
    held = sum(found == "held_out" for found in side.values())
    # Binomial(20000, 0.05): mean 1000, standard deviation 30.8; four of them are 123.
    assert abs(held - 1000) < 123


def test_the_split_depends_on_the_salt_and_not_on_order(nights):
    rows = frame(alone(0, 500))
    first = sides_of(nights.catalog, rows, HALF, NIGHT)
    turned = sides_of(nights.catalog, rows.reverse(), HALF, NIGHT)
    assert first.side.to_list() == turned.side.to_list()[::-1]
    assert first.new_rows == turned.new_rows
    salted = sides_of(nights.catalog, rows, HALF.model_copy(update={"split_salt": "t"}), NIGHT)
    # Half of the sides agree by chance: mean 250, standard deviation 11.2.
    assert abs((first.side == salted.side).sum() - 250) < 56


def test_a_session_that_grows_stays_where_it_is_under_any_salt(nights):
    known = {}
    for turn in range(4):
        salt = HALF.model_copy(update={"split_salt": f"salt {turn}", "held_out_share": 0.2 * turn})
        rows = [
            episode(f"{turn}-{i}", session=f"s{i}", question=ask(100 * turn + i))
            for i in range(100)
        ]
        side, found = nights.play(rows, HALF if not turn else salt)
        here = {f"s{i}": (side[f"{turn}-{i}"], found.group[i]) for i in range(100)}
        known = known or here
        assert here == known
        # The first night writes session, question and near keys; the others new questions alone.
        assert found.new_rows.num_rows == (200 if turn else 300)
    assert {side for side, _ in known.values()} == {"train", "held_out"}


def test_the_same_night_again_writes_nothing(nights):
    rows = alone(0, 50)
    first, _ = nights.play(rows)
    again, found = nights.play(rows)
    assert again == first
    assert found.new_rows.num_rows == 0


def test_what_is_read_again_under_other_ids_falls_on_the_same_side(nights):
    first, found = nights.play(alone(0, 100))
    copies = [episode(f"copy{i}", session=f"new{i}", question=ask(i)) for i in range(100)]
    later, again = nights.play(copies)
    assert list(later.values()) == list(first.values())
    assert again.group.to_list() == found.group.to_list()


def test_night_by_night_is_as_at_once_where_groups_gain_no_keys(tmp_path):
    def night(number):
        return [
            episode(f"{number}-{i}", session=f"s{i % 50}", scenario=f"c{i % 25}", question=ask(i))
            for i in range(200)
        ]

    once, joined = Nights(tmp_path / "once").play([row for n in range(5) for row in night(n)])
    home, by_night, groups = Nights(tmp_path / "nights"), {}, []
    for number in range(5):
        side, found = home.play(night(number))
        by_night |= side
        groups += found.group.to_list()
    assert by_night == once
    assert groups == joined.group.to_list()
    assert len(set(groups)) == 25


def of_side(side, wanted):
    return [name for name, found in side.items() if found == wanted]


def bridge(name, one, other):
    """Two episodes of one session that ask what two groups ask."""
    return [
        episode(f"{name}-1", session=name, question=ask(one[1:])),
        episode(f"{name}-2", session=name, question=ask(other[1:])),
    ]


def test_groups_of_both_sides_that_grow_together_are_retired_for_ever(nights):
    rows = alone(0, 20)
    before, found = nights.play(rows)
    held, train = of_side(before, "held_out")[0], of_side(before, "train")[0]
    named = dict(zip(before, found.group, strict=True))
    after, merged = nights.play(bridge("x", held, train))
    assert set(after.values()) == {"retired"}
    assert merged.group.unique().to_list() == [min(named[held], named[train])]
    later, again = nights.play(rows)
    assert (later[held], later[train]) == ("retired", "retired")
    assert {n: s for n, s in later.items() if n not in (held, train)} == {
        n: s for n, s in before.items() if n not in (held, train)
    }
    assert again.new_rows.num_rows == 0
    # Older builds named them: neither is replayed, and all others stand where they stood.
    assert dict(zip(before, nights.sides(found.group), strict=True)) == later


def test_groups_of_one_side_that_grow_together_stay_there_under_the_smaller_name(nights):
    before, found = nights.play(alone(0, 20))
    named = dict(zip(before, found.group, strict=True))
    one, other, third, *_ = of_side(before, "train")
    after, merged = nights.play(bridge("x", one, other))
    assert set(after.values()) == {"train"}
    assert merged.group.unique().to_list() == [min(named[one], named[other])]
    # And on: a chain of merges ends in one name, from whichever key it is reached.
    _, chained = nights.play(bridge("y", other, third))
    least = min(named[name] for name in (one, other, third))
    assert chained.group.unique().to_list() == [least]
    _, again = nights.play([episode("late", question=ask(one[1:]))])
    assert again.group.to_list() == [least]
    assert again.new_rows.num_rows == 0


def test_a_group_is_retired_through_all_that_it_became_part_of(nights):
    before, found = nights.play(alone(0, 30))
    named = dict(zip(before, found.group, strict=True))
    one, other, third, free, *_ = of_side(before, "train")
    held = of_side(before, "held_out")[0]
    nights.play(bridge("x", one, other))
    nights.play(bridge("y", other, third))
    nights.play(bridge("z", third, held))
    lost = [named[name] for name in (one, other, third, held)]
    asked = pl.Series([*lost, named[free], 12345, lost[0]])
    # Of 12345 nothing is known.
    assert nights.sides(asked) == [*["retired"] * 4, "train", None, "retired"]
    assert nights.play([episode("n", question=ask(one[1:]))])[0] == {"n": "retired"}


def test_what_tonight_retires_is_retired_before_it_is_written(nights):
    before, found = nights.play(alone(0, 30))
    named = dict(zip(before, found.group, strict=True))
    one, other, free, *_ = of_side(before, "train")
    held = of_side(before, "held_out")[0]
    nights.play(bridge("x", one, other))
    rows = frame([*bridge("z", other, held), episode("new", question="quite new?")])
    tonight = sides_of(nights.catalog, rows, HALF, NIGHT)
    asked = pl.Series([named[one], named[other], named[held], named[free], tonight.group[2]])
    lost = retired(nights.catalog, asked, tonight.new_rows)
    assert lost.to_list() == [True, True, True, False, False]
    nights.warehouse.append("split_keys", tonight.new_rows)
    assert nights.sides(asked) == ["retired", "retired", "retired", "train", tonight.side[2]]


def test_a_group_that_swallows_the_night_stops_the_build(nights):
    def crowd(n):
        return [episode(f"e{i}", question="hello" if i < 60 else ask(i)) for i in range(n)]

    with pytest.raises(InvariantError, match=r"60 of 1000.*share the question 'hello'.*probes"):
        nights.play(crowd(1000))
    assert nights.play(crowd(999))[0]
    chain = [
        episode(f"e{i}", session=f"s{i // 2}", scenario=f"c{(i + 1) // 2}") for i in range(1000)
    ]
    with pytest.raises(InvariantError, match=r"1000 of 1000.*chain one problem to the next"):
        nights.play(chain)
    wide = HALF.model_copy(update={"largest_group": 1.0})
    assert len(set(nights.play(chain, wide)[0].values())) == 1


def test_sides_are_disjoint_by_every_key_over_any_nights(nights):
    rng = np.random.default_rng(0)
    at = {}
    wide = HALF.model_copy(update={"largest_group": 1.0, "split_by_user": True})
    for night in range(6):
        rows = [
            episode(
                f"{night}-{i}",
                *(f"{kind}{rng.integers(60)}" if rng.random() < 0.25 else None for kind in "scu"),
                ask(rng.integers(400)) if rng.random() < 0.5 else "",
            )
            for i in range(60)
        ]
        side, _ = nights.play(rows, wide)
        keyed = keys_of(nights.catalog, frame(rows), by_user=True)
        for place, key in zip(keyed.place.tolist(), keyed.key.tolist(), strict=True):
            at.setdefault(key, {}).setdefault(night, set()).add(side[rows[place][0]])
    assert {s for seen in at.values() for found in seen.values() for s in found} == {
        "train", "held_out", "retired",
    }  # fmt: skip
    for seen in at.values():
        assert all(len(found) == 1 for found in seen.values())
        told = [found.copy().pop() for _, found in sorted(seen.items())]
        # A key keeps its side until it is retired, and then stays so.
        assert len({s for s in told if s != "retired"}) <= 1
        assert told == sorted(told, key=lambda s: s == "retired")
    # And what is read of the groups at the end is what the last word on each key says.
    last = {key: seen[max(seen)] for key, seen in at.items()}
    rows = pl.DataFrame(nights.warehouse.read("split_keys")).filter(pl.col("kind") != "group")
    now = dict(zip(rows["key"], nights.sides(rows["group"]), strict=True))
    assert all(now[key] in (*found, "retired") for key, found in last.items())


def test_components_of_a_graph_are_those_of_a_search():
    rng = np.random.default_rng(1)
    for nodes, edges in ((1, 0), (50, 20), (200, 180), (200, 400)):
        one, other = rng.integers(nodes, size=(2, edges))
        least = components(one, other, nodes)
        near = {node: {node} for node in range(nodes)}
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            near[a].add(b)
            near[b].add(a)
        for node in range(nodes):
            seen, todo = {node}, [node]
            while todo:
                more = near[todo.pop()] - seen
                seen |= more
                todo += more
            assert least[node] == min(seen)
    # A path is as long as a graph gets.
    path = np.arange(5000)
    assert not components(path[1:], path[:-1], 5000).any()


@pytest.mark.parametrize(
    ("log", "groups", "largest"), [("tau-bench", 12, 4), ("intercode-sql", 125, 5)]
)
def test_real_logs_fall_into_their_tasks(log, groups, largest, config, clock, real_logs):
    # Four trials of each task; five models' runs of each.
    files = [str(path) for path in sorted((real_logs / log).glob("*turns.json"))]
    ingest(config, files or [str(real_logs / log)], night=NIGHT, clock=clock)
    label(config, night=NIGHT, clock=clock)
    catalog = Warehouse(config.home).catalog(only=["episodes", "labels", "split_keys"])
    verdicts = night_verdicts(catalog, NIGHT)
    sizes = sides_of(catalog, verdicts, config.build, NIGHT).group.value_counts()["count"]
    assert (len(sizes), sizes.max(), sizes.min()) == (groups, largest, largest)
