"""Which older successes are imitated again: a fair draw, verified, and never one that is spoilt."""

import json
import shutil
from datetime import UTC, datetime
from functools import partial
from itertools import combinations

import polars as pl
import pytest

from schemas.config import BuildConfig, FlywheelConfig
from schemas.dataset import Trajectory
from schemas.digest import digest
from schemas.tables import arrow_rows
from tasks.build.imitation import limits, replayed, sft_rows
from tasks.build.night import night_verdicts
from tasks.ingest.ingest import ingest
from tasks.label.label import label
from warehouse.tables import Warehouse

CONFIG = BuildConfig()
NIGHT = "2026-01-02"


def real_night(config, clock, *paths, night=NIGHT):
    """Ingest and label paths, and give the night's frame with all on the train side."""
    ingest(config, list(paths), night=night, clock=clock)
    label(config, night=night, clock=clock)
    verdicts = night_verdicts(Warehouse(config.home).catalog(), night)
    return verdicts.with_columns(side=pl.lit("train"), group=pl.lit(7, pl.Int64))


def ids(rows):
    return rows["episode_id"].to_list()


def asked(name, question, **keys):
    """Make one record of a success: a question and an answer."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "one"}]
    return json.dumps({"id": name, "messages": messages, "reward": 1.0, **keys})


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory):
    """Make a home of 60 older successes and tonight's eight; no test writes to it."""
    folder = tmp_path_factory.mktemp("two_nights")
    config = FlywheelConfig(home=folder / "home")
    old = [asked(f"o{i}", f"old {i}", model="m") for i in range(60)]
    # One of tonight's is word for word an old one, of another model.
    new = [asked("n0", "old 0", model="m2")]
    new += [asked(f"n{i}", f"new {i}", model="m") for i in range(1, 8)]
    frames = []
    for night, records in (("2026-01-01", old), (NIGHT, new)):
        path = folder / f"{night}.jsonl"
        path.write_text("\n".join(records) + "\n")
        clock = partial(datetime, 2026, 1, 2, 3, tzinfo=UTC)
        frames.append(real_night(config, clock, str(path), night=night))
    return config.home, frames[0], sft_rows(frames[1], CONFIG)


@pytest.fixture
def home(two_nights, tmp_path):
    """Copy the two nights, for a test to write what builds imitated."""
    folder, earlier, own = two_nights
    copy = shutil.copytree(folder, tmp_path / "copy")
    return Warehouse(copy), earlier, own


def imitated(warehouse, rows, build="b1", *, group=0, use="sft", desirable=True):
    """Write what a build of an earlier night imitated; each row is a group of its own from 0 on."""
    made = [
        Trajectory(
            build=build, use=use, episode_id=name, messages=[], desirable=desirable,
            weight=0.9, total=0.9, group=group + place,
        )
        for place, name in enumerate(rows)
    ]  # fmt: skip
    warehouse.append("trajectories", arrow_rows("trajectories", made))


def of_train(groups):
    return pl.Series([False] * len(groups), dtype=pl.Boolean)


def draw(home, share, night=NIGHT, retired=of_train, builds=("b1",), earlier=("2026-01-01",)):
    warehouse, _, own = home
    config = BuildConfig(replay_share=share)
    nights = [night, *earlier]
    return replayed(warehouse.catalog(), own, config, nights, retired, builds)


def test_replay_is_a_share_of_the_nights_own_and_other_every_night(home):
    warehouse, earlier, own = home
    imitated(warehouse, earlier["episode_id"])
    assert own.height == 8
    # int(0.7 x 8) = 5.
    first = draw(home, 0.7)
    assert first.height == 5
    assert first["rank"].to_list() == [0, 1, 2, 3, 4]
    assert set(ids(first)) < set(earlier["episode_id"])
    assert first.equals(draw(home, 0.7))
    assert set(ids(first)) != set(ids(draw(home, 0.7, "2026-01-03")))
    # Groups are those that were written.
    place = {name: group for group, name in enumerate(earlier["episode_id"])}
    assert first["group"].to_list() == [place[name] for name in ids(first)]


def test_a_greater_share_goes_on_where_a_smaller_one_ends_until_all_fit_are_drawn(home):
    warehouse, earlier, _ = home
    imitated(warehouse, earlier["episode_id"])
    few, many, everything = (ids(draw(home, share)) for share in (0.5, 4, 1000))
    assert many[: len(few)] == few
    assert everything[: len(many)] == many
    # All but the one whose body stands in tonight's own.
    twin = earlier.filter(pl.col("question") == "old 0")["episode_id"].to_list()
    assert set(everything) == set(earlier["episode_id"]) - set(twin)
    assert len(everything) == 59


def test_every_night_each_older_success_comes_up_as_often_as_any_other(home):
    warehouse, earlier, _ = home
    imitated(warehouse, earlier["episode_id"])
    nights = [f"2026-02-{day:02}" for day in range(1, 13)]
    drawn = [set(ids(draw(home, 2, night))) for night in nights]
    # 16 of 59 in each of 12 nights: 59 x (43 / 59)^12 = 1.3 never come up.
    assert len(set().union(*drawn)) > 53
    # Two nights share 16 x 16 / 59 = 4.3 of their 16 by chance.
    shared = [len(a & b) for a, b in combinations(drawn, 2)]
    assert 3.5 < sum(shared) / len(shared) < 5.2
    # Nor does a night only begin elsewhere in one and the same order.
    one, other = (ids(draw(home, 1000, night)) for night in nights[:2])
    begin = other.index(one[0])
    assert other[begin:] + other[:begin] != one


def test_what_is_retired_by_now_is_not_replayed_however_few_are_left(home):
    warehouse, earlier, _ = home
    imitated(warehouse, earlier["episode_id"])
    fit = earlier.drop("group").with_row_index("group").filter(pl.col("question") != "old 0")[-2:]

    def by_now(groups):
        return ~groups.is_in(fit["group"].implode())

    assert set(ids(draw(home, 1000, retired=by_now))) == set(fit["episode_id"])
    assert draw(home, 0.2, retired=by_now).height == 1


def test_a_draw_widens_until_enough_fit(home):
    warehouse, earlier, _ = home
    imitated(warehouse, earlier["episode_id"])
    # As if 3,000 others had been imitated since, all of whom have been forgotten by now.
    imitated(warehouse, [digest(f"gone {i}") for i in range(3000)], group=1000)
    # The first tries draw (2 x 4 + 64) / 3,060 = 2% and (16 x 4 + 64) / 3,060 = 4% of 60.
    everything = ids(draw(home, 1000))
    assert len(everything) == 59
    assert ids(draw(home, 0.5)) == everything[:4]


def test_what_is_no_success_any_more_is_not_replayed(home):
    warehouse, earlier, _ = home
    names = earlier["episode_id"][:6].to_list()
    imitated(warehouse, names)
    labels = warehouse.read("labels", where={"episode_id": names}).to_pylist()
    now = {row["episode_id"]: row | {"revision": 1} for row in labels}
    changed = [
        now[names[1]] | {"state": "failure"},
        now[names[2]] | {"state": "unlabelled"},
        now[names[3]] | {"infrastructure_error": True},
        now[names[4]] | {"state": "failure"},
        now[names[4]] | {"state": "success", "revision": 2},
        now[names[5]],
    ]
    schema = warehouse.read("labels", where={"episode_id": []}).schema
    warehouse.append("labels", pl.DataFrame(changed).to_arrow().cast(schema))
    twin = set(earlier.filter(pl.col("question") == "old 0")["episode_id"])
    assert set(ids(draw(home, 1000))) == {names[0], names[4], names[5]} - twin


def test_only_whole_successes_of_earlier_builds_are_replayed_each_once(home):
    warehouse, earlier, _ = home
    names = earlier.filter(pl.col("question") != "old 0")["episode_id"].to_list()
    imitated(warehouse, names[:3], "b1")
    imitated(warehouse, names[2:5], "b2", group=100)
    imitated(warehouse, names[5:7], "b1", desirable=False)
    imitated(warehouse, names[7:9], "b1", use="kto")
    imitated(warehouse, names[9:11], "tonight")
    found = draw(home, 1000, builds=("b1", "b2"))
    assert set(ids(found)) == set(names[:5])
    # In both builds: the later one's group counts.
    assert found.filter(episode_id=names[2])["group"].to_list() == [100]


def test_what_an_earlier_build_replayed_itself_is_left_to_builds_of_that_night(home):
    warehouse, earlier, _ = home
    imitated(warehouse, earlier["episode_id"])
    # As if the build were of the 31st and had replayed them: all 60 are of the 1st, and only a
    # build that reads that night would find their messages.
    assert draw(home, 1000, earlier=("2025-12-31",)).height == 0
    assert draw(home, 1000, earlier=("2025-12-31", "2026-01-01")).height == 59


def test_equal_bodies_are_replayed_once(config, clock, chat, write):
    old = [chat(f"o{i}", session_id=f"s{i}", model=f"m{i}", reward=1.0) for i in range(5)]
    earlier = real_night(config, clock, write("o.jsonl", *old), night="2026-01-01")
    own = sft_rows(
        real_night(config, clock, write("n.jsonl", chat("n", question="new", reward=1.0))), CONFIG
    )
    assert earlier["body_digest"].n_unique() == 1
    warehouse = Warehouse(config.home)
    imitated(warehouse, earlier["episode_id"])
    assert draw((warehouse, earlier, own), 9).height == 1


def test_without_earlier_builds_or_a_share_or_own_rows_nothing_is_replayed(home):
    warehouse, earlier, own = home
    assert draw(home, 1).height == 0
    imitated(warehouse, earlier["episode_id"])
    assert draw(home, 1, builds=()).height == 0
    assert draw(home, 0).height == 0
    nothing = draw((warehouse, earlier, own.clear()), 1)
    assert nothing.height == 0
    assert nothing.schema == own.schema


def test_more_is_drawn_than_wanted_and_in_the_end_everything():
    # 4,294,967,291 x (2 x 10 + 64) / 1,000 and x (16 x 10 + 64) / 1,000, then all.
    assert limits(10, 1000) == [360777252, 962072673, 4294967291]
    assert limits(10, 50) == [4294967291]
    assert limits(10, 0) == []
