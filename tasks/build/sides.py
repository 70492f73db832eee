"""The split: which groups of episodes are held out, once and for ever.

A group is what shares a session, a scenario, a question or nearly a question, joined through any of
them (and through the user, where the configuration says so). Its side is a salted hash of its name,
which is the smallest key it had when it was first seen. Keys and sides are kept in `split_keys`, so
that a group that grows stays where it is. When groups grow together, the smallest name stands for
them; when they stood on both sides, nobody can tell any more what was trained on, and they are
retired.

Questions are near when their fingerprints share a band key (`tasks.ingest.near.minhash`): one with
another number or identifier never does, and questions of fewer than 32 words must have the same
words. The bits that would verify a longer one are not asked: what is joined on too little merely
falls on one side together, and a key that stood for two groups tonight would join them tomorrow.
The price is paid by logs whose questions all begin with the same long words: of 5,000 questions of
80 words with no value in them, 70% of them the same, the largest group has 48; 80%, 1,555.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from schemas.config import BuildConfig
from schemas.digest import digest
from schemas.errors import InvariantError
from schemas.tables import SCHEMAS
from tasks.ingest.near.minhash import BANDS, MIX, STEP, Words, fingerprints, mix
from warehouse.catalog import Catalog

Numbers: TypeAlias = npt.NDArray[np.int64]

LARGEST_FROM = 1000
"""Episodes of a night from which the largest group is held to its share; under it, a few repeats
are already 5%."""
KINDS = ("question", "session", "scenario", "user", "near")
"""Kinds of keys; of a key's kinds, should it have several, the first is kept."""
COLUMNS = {"session": "session_id", "scenario": "scenario_id", "user": "user_id"}
SIDES = ("train", "held_out", "retired")
TABLE = "split_keys"
CHANGES = "WHERE kind = 'group'"
"""Leaves the rows of `split_keys` that say what has become of a group."""
LOW = np.uint64((1 << 63) - 1)
CHAINED = "Log sessions and scenarios so that they do not chain one problem to the next"
NEXT_STEP = {
    "question": "Leave out probes that repeat one question",
    "session": "Give sessions ids of their own",
    "scenario": "Give problems scenario ids of their own",
    "user": "Set build.split_by_user: false",
    "near": "Log what every question begins with as a system message",
}


class Sides(NamedTuple):
    """Where each episode of a night falls, and what to remember."""

    side: pl.Series
    """`train`, `held_out` or `retired`, in order of the episodes."""
    group: pl.Series
    """Name of each episode's group, 63 bits."""
    new_rows: pa.Table
    """Rows for `split_keys`: keys seen for the first time, and groups that changed."""


class Keyed(NamedTuple):
    """Keys of episodes, ordered by episode, then kind; each episode has at least one."""

    place: Numbers
    """Row number of the episode."""
    kind: Numbers
    """Index into `KINDS`."""
    key: Numbers


class Joined(NamedTuple):
    """Groups that the episodes of a night make, with all that is known of them."""

    keys: Numbers
    """Distinct keys of the night, in order."""
    key_name: Numbers
    """Name of each key's group."""
    key_side: Numbers
    """Index into `SIDES`."""
    groups: Numbers
    """Groups known before, in order."""
    group_name: Numbers
    """Name of the group that each of them is part of by now."""
    group_side: Numbers


def sides_of(catalog: Catalog, verdicts: pl.DataFrame, config: BuildConfig, night: str) -> Sides:
    """Put every episode of a night on its side.

    Args:
        catalog: Sees `split_keys`.
        verdicts: One row an episode: `episode_id`, `session_id`, `scenario_id`, `user_id`,
            `question`, `body_digest`.
        config: Salt, held-out share, what joins and how large a group may be.
        night: The night that sees new keys, `YYYY-MM-DD`.

    Raises:
        InvariantError: One group holds more than `config.largest_group` of the episodes.
    """
    keyed = keys_of(catalog, verdicts, config.split_by_user)
    keys, node = np.unique(keyed.key, return_inverse=True)
    asked = pa.table({"key": keys})
    known = remembered(catalog, asked)
    joined = join(keys, node, keyed, known, config)
    first = np.flatnonzero(np.diff(keyed.place, prepend=-1))
    names, sides = joined.key_name[node[first]], joined.key_side[node[first]]
    refuse_giant(verdicts, keyed, joined.key_name[node], names, config.largest_group)
    kinds = np.full(len(keys), len(KINDS))
    np.minimum.at(kinds, node, keyed.kind)
    return Sides(
        pl.Series("side", np.array(SIDES)[sides], pl.String),
        pl.Series("group", names, pl.Int64),
        new_rows(joined, kinds, known, night),
    )


def keys_of(catalog: Catalog, verdicts: pl.DataFrame, by_user: bool) -> Keyed:
    """Give the keys that join episodes to others.

    Where nothing was asked, what was said keeps equal bodies together; an episode that says
    nothing either stands for itself.
    """
    question = pl.coalesce(*(spoken(name) for name in ("question", "body_digest", "episode_id")))
    columns = {"question": question}
    columns |= {k: spoken(name) for k, name in COLUMNS.items() if by_user or k != "user"}
    place = pl.int_range(pl.len(), dtype=pl.Int64).alias("place")
    named = pl.concat(
        verdicts.select(place, pl.lit(kind).alias("kind"), column.alias("value")).drop_nulls()
        for kind, column in columns.items()
    )
    found = catalog.query("split_digests", relations={"named": named.to_arrow()})
    digests = pl.DataFrame(found)
    codes = {kind: code for code, kind in enumerate(KINDS)}
    kinds = digests["kind"].replace_strict(codes, return_dtype=pl.Int64)
    near_place, near_key = near_keys(verdicts["question"].to_arrow())
    places = np.concatenate([digests["place"].to_numpy(), near_place])
    kind = np.concatenate([kinds.to_numpy(), np.full(len(near_place), KINDS.index("near"))])
    key = np.concatenate([digests["key"].to_numpy(), near_key])
    order = np.lexsort((key, kind, places))
    return Keyed(places[order], kind[order], key[order])


def spoken(column: str) -> pl.Expr:
    """Take a text, or null where it is empty."""
    return pl.when(pl.col(column) != "").then(pl.col(column))


def near_keys(questions: pa.Array) -> tuple[Numbers, Numbers]:
    """Give the band keys of questions with a word in them, and which question each is of.

    The three keys of a short question stand for one and the same, so one of them is enough.
    """
    rows = fingerprints(questions)
    counts = np.where(rows.any(axis=1), np.where(are_short(rows), 1, BANDS), 0)
    place = np.repeat(np.arange(len(rows)), counts)
    band = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place, (rows[place, band] & LOW).astype(np.int64)


def are_short(rows: Words) -> npt.NDArray[np.bool_]:
    """Say which fingerprints are of short texts: those whose bits are one sum, salted twice."""
    apart: Words = unmixed(rows[:, BANDS + 1]) - unmixed(rows[:, BANDS])
    return np.equal(apart, np.uint64(STEP))


def unmixed(words: Words) -> Words:
    """Undo `tasks.ingest.near.minhash.mix`."""
    plain = words ^ (words >> np.uint64(33))
    for factor in reversed(MIX):
        plain *= np.uint64(pow(factor, -1, 1 << 64))
        plain ^= plain >> np.uint64(33)
    return plain


def join(
    keys: Numbers, node: Numbers, keyed: Keyed, known: pa.Table, config: BuildConfig
) -> Joined:
    """Make groups of keys: by the episodes that have them, and by what is known of them.

    Args:
        keys: Distinct keys, in order.
        node: Index into `keys` of each row of `keyed`.
        keyed: Keys of the episodes.
        known: Rows of the query `split_known`.
        config: Salt and held-out share, for groups that are new.
    """
    known_key, known_group = known["key"].to_numpy(), known["group"].to_numpy()
    is_change = known["kind"].to_numpy() == "group"
    groups = np.unique(np.concatenate([known_group, known_key[is_change]]))
    # Groups come before keys, and both in order: the least node of a component names it.
    owner = np.searchsorted(groups, known_group)
    member = np.where(
        is_change,
        np.searchsorted(groups, known_key),
        len(groups) + np.searchsorted(keys, known_key),
    )
    first = np.flatnonzero(np.diff(keyed.place, prepend=-1))
    lead = np.repeat(node[first], np.diff(np.append(first, len(node))))
    least = components(
        np.concatenate([len(groups) + lead, owner]),
        np.concatenate([len(groups) + node, member]),
        len(groups) + len(keys),
    )
    names = np.concatenate([groups, keys])[least]
    seen = np.zeros(len(names), np.int64)
    told = side_codes(known)
    np.bitwise_or.at(seen, least[owner], 1 << told)
    # Of one side only, it stays there; of several, or retired before, it is retired.
    sides = np.array([0, 0, 1, 2, 2, 2, 2, 2])[seen[least]]
    fresh = seen[least] == 0
    sides[fresh] = drawn(names[fresh], config)
    count = len(groups)
    return Joined(keys, names[count:], sides[count:], groups, names[:count], sides[:count])


def components(one: Numbers, other: Numbers, nodes: int) -> Numbers:
    """Give the least node of each node's component in a graph of edges `one` to `other`."""
    least = np.arange(nodes)
    while True:
        left, right = least[one], least[other]
        apart = np.flatnonzero(left != right)
        if not len(apart):
            return least
        one, other, left, right = one[apart], other[apart], left[apart], right[apart]
        np.minimum.at(least, np.maximum(left, right), np.minimum(left, right))
        while not np.array_equal(jumped := least[least], least):
            least = jumped


def drawn(names: Numbers, config: BuildConfig) -> Numbers:
    """Draw the sides of new groups: the same names and salt give the same sides everywhere."""
    salt = np.uint64(int(digest(config.split_salt, 16), 16))
    draw = (mix(mix(names.astype(np.uint64)) + salt) >> np.uint64(11)) / 2.0**53
    return (draw < config.held_out_share).astype(np.int64)


def side_codes(rows: pa.Table) -> Numbers:
    """Translate the sides of rows to indexes into `SIDES`."""
    found: Numbers = pc.index_in(rows["side"], pa.array(SIDES)).to_numpy().astype(np.int64)
    return found


def refuse_giant(
    verdicts: pl.DataFrame, keyed: Keyed, key_names: Numbers, names: Numbers, largest: float
) -> None:
    """Stop when one group swallows the night.

    Args:
        verdicts: The episodes.
        keyed: Their keys.
        key_names: Name of the group of each row of `keyed`.
        names: Name of the group of each episode.
        largest: Share of the episodes that a group may hold.

    Raises:
        InvariantError: A group holds more; says what most of its episodes share.
    """
    if len(names) < LARGEST_FROM:
        return
    groups, sizes = np.unique(names, return_counts=True)
    biggest, held = groups[sizes.argmax()], int(sizes.max())
    if held <= largest * len(names):
        return
    inside = np.flatnonzero(key_names == biggest)
    _, some, shared = np.unique(keyed.key[inside], return_index=True, return_counts=True)
    commonest = np.lexsort((keyed.kind[inside[some]], -shared))[0]
    row, most = inside[some[commonest]], int(shared[commonest])
    kind = KINDS[keyed.kind[row]]
    value = verdicts[COLUMNS.get(kind, "question")][int(keyed.place[row])] or ""
    step = NEXT_STEP[kind] if 2 * most >= held else CHAINED
    raise InvariantError(
        f"one group of joined episodes holds {held} of {len(names)} (at most {largest:.0%});"
        f" {most} of them share the {kind} {value[:60]!r}",
        f"{step}, or raise build.largest_group.",
    )


def new_rows(joined: Joined, kinds: Numbers, known: pa.Table, night: str) -> pa.Table:
    """Write down keys that nothing was known of, and groups whose name or side is another now."""
    known_key, is_change = known["key"].to_numpy(), known["kind"].to_numpy() == "group"
    moved = is_change & (known["group"].to_numpy() != known_key)
    retired = is_change & (known["side"].to_numpy() == "retired")
    # What is part of another group follows that one.
    stands = ~np.isin(joined.groups, known_key[moved])
    renamed = joined.group_name != joined.groups
    lost = joined.group_side == SIDES.index("retired")
    lost &= ~np.isin(joined.groups, known_key[retired])
    changed = np.flatnonzero(stands & (renamed | lost))
    fresh = np.flatnonzero(~np.isin(joined.keys, known_key[~is_change]))
    side = np.concatenate([joined.group_side[changed], joined.key_side[fresh]])
    columns = {
        "key": np.concatenate([joined.groups[changed], joined.keys[fresh]]),
        "kind": np.array([*KINDS, "group"])[
            np.concatenate([np.full(len(changed), len(KINDS)), kinds[fresh]])
        ],
        "group": np.concatenate([joined.group_name[changed], joined.key_name[fresh]]),
        "side": np.array(SIDES)[side],
        "night": [night] * len(side),
    }
    schema = SCHEMAS["split_keys"]
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def retired(catalog: Catalog, groups: pl.Series, new_rows: pa.Table) -> pl.Series:
    """Say of groups that builds have trained on whether they are retired by now.

    Only what became of groups is read, and not what joins them. A group leaves the train side by
    such a change alone.

    Args:
        catalog: Sees `split_keys`.
        groups: Names of groups, as builds wrote them.
        new_rows: Tonight's, which the catalog does not see yet.

    Returns:
        A truth value for each, in their order.
    """
    asked = groups.cast(pl.Int64).to_frame("group")
    reached = reached_by(catalog, asked["group"])
    lost = reached.filter(pl.col("retired") | pl.col("part_of").is_in(retiring(new_rows).implode()))
    return asked["group"].is_in(lost["group"].implode())


def retiring(new_rows: pa.Table) -> pl.Series:
    """Name the groups that a night retires."""
    rows = pl.DataFrame(new_rows)
    return rows.filter((pl.col("kind") == "group") & (pl.col("side") == "retired"))["key"]


def reached_by(catalog: Catalog, groups: pl.Series) -> pl.DataFrame:
    """Say what groups have become part of: `group`, `part_of`, `retired`."""
    asked = groups.unique().sort().to_frame("group").to_arrow()
    return pl.DataFrame(catalog.query("split_reached", relations={"asked": asked}))


def remembered(catalog: Catalog, asked: pa.Table) -> pa.Table:
    """Give what the split has written down of some keys, and what became of their groups.

    Args:
        catalog: Sees `split_keys`.
        asked: `key`, each once.

    Returns:
        Rows of the query `split_known`.
    """
    clauses = [CHANGES, "SEMI JOIN asked USING (key)"]
    narrow = catalog.only({TABLE: catalog.files_where(TABLE, clauses, {"asked": asked})})
    return narrow.query("split_known", relations={"asked": asked})


def known_sides(catalog: Catalog, groups: pl.Series) -> pl.DataFrame:
    """Give the present `side` of each `group` that the split remembers, once."""
    relations = {"reached": reached_by(catalog, groups).to_arrow()}
    clauses = ['SEMI JOIN reached ON split_keys."group" = reached.part_of']
    narrow = catalog.only({TABLE: catalog.files_where(TABLE, clauses, relations)})
    return pl.DataFrame(narrow.query("split_now", relations=relations))
