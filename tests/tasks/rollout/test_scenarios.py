"""Scenarios: who may see a question is decided once, and every question has an answer."""

import json
from datetime import date

import pytest

from schemas.config import FlywheelConfig
from tasks.rollout.environment import frozen, validation
from tasks.rollout.scenarios import (
    KIND_WEIGHTS,
    Specification,
    draw,
    gold_sql,
    population,
    split_of,
)
from tasks.rollout.sql_agent import SqlWorld
from tasks.rollout.tenants import Tenant, tenants

SPLITS = ("train", "validation", "frozen_params", "frozen_compositions")
TENANT = Tenant(
    name="tenant00", noun="orders", table="orders_new", money="amount", units="qty", area="zone",
    product="brand", day="placed", columns=("amount", "qty", "zone", "brand", "placed"),
    today=date(2026, 5, 20),
)  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_specification_stands_in_two_splits(seed: int) -> None:
    of = {
        split: {spec.text for specs in compositions.values() for spec in specs}
        for split, compositions in population(seed, "flywheel").items()
    }
    assert all(of.values())
    assert sum(map(len, of.values())) == len(set.union(*of.values()))


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_held_out_compositions_stand_in_no_other_split(seed: int) -> None:
    made = population(seed, "flywheel")
    held_out = set(made["frozen_compositions"])
    for split in ("train", "validation", "frozen_params"):
        assert not held_out & set(made[split])


@pytest.mark.parametrize("seed", [0, 3])
def test_drawn_sets_are_disjoint_by_specification(seed: int) -> None:
    config = FlywheelConfig(seed=seed)
    sets = [
        {s.specification for s in drawn}
        for drawn in (
            draw(config.seed, config.build.split_salt, "train", 3000, 5),
            validation(config),
            frozen(config),
        )
    ]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]


def test_shares_of_the_splits_are_as_meant() -> None:
    made = population(0, "flywheel")
    sizes = {split: sum(map(len, made[split].values())) for split in SPLITS}
    seen = sum(sizes.values()) - sizes["frozen_compositions"]
    assert sizes["frozen_params"] / seen == pytest.approx(0.14, abs=0.01)
    assert sizes["validation"] / seen == pytest.approx(0.12, abs=0.01)
    compositions = {split: len(made[split]) for split in SPLITS}
    share = compositions["frozen_compositions"] / (
        compositions["frozen_compositions"] + compositions["train"]
    )
    assert share == pytest.approx(0.15, abs=0.05)


def test_another_salt_splits_otherwise() -> None:
    specs = [Specification("tenant00", "count", "rows", area=a) for a in "abcdefghijklmnop"]
    one, two = ([split_of(spec, salt) for spec in specs] for salt in ("x", "y"))
    assert one != two


def test_a_draw_repeats_itself_and_another_seed_is_another_draw(config: FlywheelConfig) -> None:
    assert draw(config.seed, config.build.split_salt, "train", 50, 5) == draw(
        config.seed, config.build.split_salt, "train", 50, 5
    )
    assert draw(config.seed, config.build.split_salt, "train", 50, 5) != draw(
        config.seed, config.build.split_salt, "train", 50, 6
    )
    assert frozen(config) == frozen(config)


@pytest.mark.parametrize("seed", [0, 3])
def test_frozen_and_validation_sets_hold_no_duplicate(seed: int) -> None:
    config = FlywheelConfig(seed=seed)
    held_out = [*frozen(config), *validation(config)]
    assert len(held_out) == 350 + 200 + 200  # the defaults of configuration
    assert len({s.specification for s in held_out}) == len(held_out)
    assert len({s.scenario_id for s in held_out}) == len(held_out)


def test_a_draw_takes_kinds_by_their_weights(config: FlywheelConfig) -> None:
    kinds = [s.slice for s in draw(config.seed, config.build.split_salt, "train", 4000, 2)]
    for kind, weight in KIND_WEIGHTS.items():
        # Weights sum to 19; three standard errors of a share near 0.2 in 4000 draws are 0.019.
        assert kinds.count(kind) / 4000 == pytest.approx(weight / 19, abs=0.02)


def test_every_kinds_true_answer_is_a_value(config: FlywheelConfig, world: SqlWorld) -> None:
    scenarios = [*frozen(config)[::4], *draw(config.seed, config.build.split_salt, "train", 150, 5)]
    assert {s.slice for s in scenarios} == set(KIND_WEIGHTS)
    for scenario in scenarios:
        row = json.loads(scenario.row)
        answer = world.query(world.tenants[row["tenant"]], row["gold_sql"])
        assert answer, scenario.question
        assert not answer.startswith("Error:"), (scenario.question, answer)
        assert "NULL" not in answer, scenario.question
        assert ";" not in answer, scenario.question


@pytest.mark.parametrize(
    ("spec", "sql"),
    [
        (
            Specification("t", "total", "money", area="north", days=30),
            (
                "SELECT SUM(amount) FROM orders_new WHERE zone = 'north'"
                " AND placed > DATE '2026-05-20' - 30"
            ),
        ),
        (
            Specification("t", "count", "rows", area="north", product="tea"),
            "SELECT COUNT(*) FROM orders_new WHERE zone = 'north' AND brand = 'tea'",
        ),
        (
            Specification("t", "largest", "units", product="tea"),
            "SELECT MAX(qty) FROM orders_new WHERE brand = 'tea'",
        ),
        (
            Specification("t", "top", "money", "product", area="north"),
            (
                "SELECT brand FROM orders_new WHERE zone = 'north'"
                " GROUP BY brand ORDER BY SUM(amount) DESC LIMIT 1"
            ),
        ),
        (
            Specification("t", "share", "money", area="north"),
            (
                "SELECT ROUND(100.0 * (SELECT SUM(amount) FROM orders_new WHERE zone = 'north')"
                " / (SELECT SUM(amount) FROM orders_new), 1)"
            ),
        ),
        (
            Specification("t", "compare", "units", "area", "north", versus="south"),
            (
                "SELECT (SELECT SUM(qty) FROM orders_new WHERE zone = 'north')"
                " - (SELECT SUM(qty) FROM orders_new WHERE zone = 'south')"
            ),
        ),
    ],
)
def test_the_true_query_of_each_kind_is_as_written_by_hand(spec: Specification, sql: str) -> None:
    assert gold_sql(spec, TENANT) == sql


def test_the_top_of_a_ranking_is_never_a_tie(world: SqlWorld, config: FlywheelConfig) -> None:
    for scenario in [*frozen(config), *validation(config)]:
        if scenario.slice == "top":
            row = json.loads(scenario.row)
            _, rest = row["gold_sql"].split(" FROM ", 1)
            value = rest.split("ORDER BY ")[1].split(" DESC")[0]
            two = f"SELECT {value} FROM {rest}".replace("LIMIT 1", "LIMIT 2")
            ranked = world.query(world.tenants[row["tenant"]], two).split("; ")
            assert len(set(ranked)) == len(ranked), scenario.question


def test_a_window_means_the_days_up_to_today(world: SqlWorld) -> None:
    tenant = next(iter(world.tenants.values()))
    spec = Specification(tenant.name, "count", "rows", area="north", days=30)
    counted = int(world.query(tenant, gold_sql(spec, tenant)))
    everything = f"SELECT {tenant.day} FROM {tenant.table} WHERE {tenant.area} = 'north'"
    ages = f"SELECT DATE '{tenant.today}' - {tenant.day} AS age FROM ({everything})"
    assert counted == int(world.query(tenant, f"SELECT COUNT(*) FROM ({ages}) WHERE age < 30"))


def test_a_moved_table_is_asked_for_by_its_old_name() -> None:
    moved = [t for t in tenants(0) if t.moved]
    assert len(moved) == 6  # a third of 18
    assert all(t.table == f"{t.noun}_new" for t in moved)
