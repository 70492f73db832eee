"""Files are shared out into parts of about the same size, each exactly once."""

import gzip
import json
import random

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InputError
from tasks.ingest.account import merged
from tasks.ingest.ingest import ingest, ingest_files, settled
from tasks.ingest.partitions import Log, partitions
from tasks.ingest.reading.files import expand
from tasks.ingest.reading.meter import Meter
from tasks.ingest.reading.stretches import read_stretches

NIGHT = "2026-01-02"


def logs(*sizes: int) -> list[Log]:
    return [
        Log(name=f"f{number}", size=size, named=False, fingerprint="")
        for number, size in enumerate(sizes)
    ]


def names(parts: list[list[Log]]) -> list[list[str]]:
    return [[log["name"] for log in part] for part in parts]


def test_the_biggest_files_are_shared_out_first():
    # 9 | 7 | then 5 to the second (12), 4 to the first (13), 2 to the second (14), 1 to the first.
    assert names(partitions(logs(1, 9, 4, 7, 2, 5), 2)) == [["f0", "f1", "f2"], ["f3", "f4", "f5"]]


def test_one_part_is_all_files_in_their_order():
    assert names(partitions(logs(1, 9, 4), 1)) == [["f0", "f1", "f2"]]


def test_there_are_no_more_parts_than_files_and_none_is_empty():
    assert names(partitions(logs(0, 0, 0), 8)) == [["f0"], ["f1"], ["f2"]]
    assert partitions([], 4) == []


@given(st.lists(st.integers(0, 10**9), max_size=40), st.integers(1, 9))
def test_every_file_is_in_one_part_and_no_part_is_far_bigger_than_its_share(sizes, count):
    parts = partitions(logs(*sizes), count)
    assert sorted(log["name"] for part in parts for log in part) == sorted(
        log["name"] for log in logs(*sizes)
    )
    weights = [sum(log["size"] for log in part) for part in parts]
    if weights:
        # A part got its last file while it was the smallest, so at most at an even share.
        assert max(weights) <= sum(sizes) / len(parts) + max(sizes)


def test_accounts_are_added_up_and_the_latest_versions_stand():
    one = {"episodes": 2, "alarms": ["a"], "formats": {"art": 2}, "tables": {"episodes": 3}}
    two = {"episodes": 1, "alarms": [], "formats": {"art": 1, "atif": 4},
           "tables": {"episodes": 1, "signals": 5}}  # fmt: skip
    assert merged([one, two]) == {
        "episodes": 3, "alarms": ["a"], "formats": {"art": 3, "atif": 4},
        "tables": {"episodes": 3, "signals": 5},
    }  # fmt: skip


def test_a_scenario_of_two_parts_is_one_with_both_outcomes(config, clock, chat, write):
    won = write("a.jsonl", chat("r1", scenario_id=1, reward=1.0))
    lost = write("b.jsonl", chat("r2", scenario_id=1, reward=0.0, answer="two"))
    parts = [
        ingest_files(config, expand([file]), night=NIGHT, format_name=None, clock=clock)
        for file in (won, lost)
    ]
    assert [(p["tasks"], p["tasks_with_both"]) for p in parts] == [(1, 0), (1, 0)]
    account, refusal = settled(config, parts)
    assert refusal is None
    assert (account["tasks"], account["tasks_with_both"], account["episodes"]) == (1, 1, 2)
    assert {"refused", "stretches"}.isdisjoint(account)


def test_parts_that_are_all_refused_are_an_error_and_a_stray_among_good_ones_is_an_alarm(
    config, clock, chat, write, tmp_path
):
    (tmp_path / "logs").mkdir()
    write("logs/a.jsonl", '{"what": 1}')
    write("logs/b.jsonl", '{"what": 2}')

    def parts():
        return [
            ingest_files(config, [file], night=NIGHT, format_name=None, clock=clock)
            for file in expand([str(tmp_path / "logs")])
        ]

    with pytest.raises(InputError, match=r"a\.jsonl has no record"):
        settled(config, parts())
    write("logs/c.jsonl", chat("r1"))
    account, refusal = settled(config, parts())
    assert refusal is None
    assert [a.split(":")[0] for a in account["alarms"]] == ["no rows taken", "no rows taken"]


def test_a_file_that_was_named_and_refused_is_an_error_beside_the_account_of_the_others(
    config, clock, chat, write
):
    named = [write("a.jsonl", '{"what": 1}'), write("c.jsonl", chat("r1"))]
    part = ingest_files(config, expand(named), night=NIGHT, format_name=None, clock=clock)
    account, refusal = settled(config, [part])
    assert (account["episodes"], len(account["alarms"])) == (1, 1)
    assert "a.jsonl has no record" in refusal.message
    with pytest.raises(InputError, match=r"a\.jsonl has no record"):
        ingest(config, named, night=NIGHT, clock=clock)


def test_a_packed_file_that_ends_too_early_is_refused_and_the_next_one_is_read(
    config, clock, chat, write, tmp_path
):
    noise = random.Random(0)
    lines = [chat(f"r{n}", answer=noise.randbytes(9000).hex()) for n in range(300)]
    packed = gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed[:-4000])
    good = write("b.jsonl", chat("good"))
    files = expand([str(tmp_path / "a.jsonl.gz"), str(good)])
    part = ingest_files(config, files, night=NIGHT, format_name=None, clock=clock)
    assert part["episodes"] == 1
    [refused] = part["refused"]
    assert "a.jsonl.gz cannot be read" in refused["message"]


def test_a_stretch_that_was_committed_meanwhile_is_not_counted_twice(
    config, clock, chat, write, tmp_path
):
    from tasks.ingest.ingest import Ingest

    first = write("a.jsonl", chat("r1"), chat("r2", answer="two"))
    copy = write("b.jsonl", chat("r1"), chat("r2", answer="two"))
    late = Ingest(config, night=NIGHT, format_name=None, clock=clock)  # knows of no stretch
    assert ingest(config, [first], night=NIGHT, clock=clock)["episodes"] == 2
    late.read(expand([copy]))
    counts = late.account.counts
    assert (counts["episodes"], counts["duplicates"], late.account.skipped) == (0, 2, [copy])


def test_progress_is_in_bytes_as_stored_and_never_goes_back(tmp_path):
    memory = fsspec.filesystem("memory")
    record = json.dumps({"messages": [{"role": "user", "content": "x" * 1000}]}) + "\n"
    plain = (record * 3000).encode()
    with fsspec.open("memory://meter/a.jsonl.gz", "wb", compression="gzip") as file:
        file.write(plain)
    memory.pipe("/meter/b.jsonl", plain)
    try:
        files = expand(["memory://meter"])
        assert files[0].size < len(plain) / 10  # what repeats is packed well
        seen = []
        meter = Meter(seen.append)
        for file in files:
            for stretch in read_stretches(meter.follow(file), [], 1 << 20):
                list(stretch.blocks())
                seen.append(meter.done)
            passed = sum(f.size for f in files[: files.index(file) + 1])
            assert meter.done == passed
        assert seen == sorted(seen)
        assert len(set(seen)) > 2
    finally:
        memory.rm("/meter", recursive=True)
