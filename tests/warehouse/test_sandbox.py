"""The sandbox answers SELECTs, refuses or kills everything else, and works on afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from schemas.errors import SandboxError
from warehouse.sandbox import WORKER, Sandbox


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of three orders: 10, 20 and 30."""
    path = tmp_path_factory.mktemp("sandbox") / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 10 * (range + 1) AS amount FROM range(3)")
    return path


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One worker for the module: each test also proves that the one before left it usable."""
    with Sandbox(memory_mb=600, timeout_s=1.0, max_rows=50, max_cell_chars=100) as running:
        yield running


def still_works(sandbox: Sandbox, shop: Path) -> bool:
    return sandbox.query(shop, "SELECT sum(amount) FROM orders").rows == [(60,)]


def test_a_select_gives_columns_and_rows(sandbox: Sandbox, shop: Path) -> None:
    result = sandbox.query(shop, "SELECT amount, amount > 10 AS big FROM orders ORDER BY amount")
    assert result.columns == ["amount", "big"]
    assert result.rows == [(10, False), (20, True), (30, True)]
    assert result.error is None
    assert not result.truncated


def test_values_that_json_has_no_type_for_arrive_as_text(sandbox: Sandbox, shop: Path) -> None:
    sql = "SELECT DATE '2026-01-31', 1.50::DECIMAL(5,2), [1, 2], {'a': 1}, NULL, '\N{SNOWMAN}'"
    row = sandbox.query(shop, sql).rows[0]
    assert row == ("2026-01-31", 1.5, "[1, 2]", "{'a': 1}", None, "\N{SNOWMAN}")


def test_an_error_is_the_first_line_of_duckdbs_message(sandbox: Sandbox, shop: Path) -> None:
    result = sandbox.query(shop, "SELECT price FROM orders")
    assert result.rows == []
    assert result.error is not None
    assert result.error.startswith('Binder Error: Referenced column "price" not found')
    assert "\n" not in result.error


REFUSED = {
    "read a file": "SELECT * FROM read_text('/etc/hostname')",
    "read a file by its name": "SELECT * FROM '/etc/hostname'",
    "read a csv": "SELECT * FROM read_csv('/etc/hostname')",
    "list a folder": "SELECT * FROM glob('/etc/*')",
    "copy out": "COPY orders TO 'stolen.csv'",
    "copy in": "COPY orders FROM '/etc/hostname'",
    "export": "EXPORT DATABASE 'stolen'",
    "attach": "ATTACH 'other.duckdb'",
    "install": "INSTALL httpfs",
    "load": "LOAD httpfs",
    "pragma": "PRAGMA database_list",
    "set": "SET threads = 4",
    "unlock": "SET enable_external_access = true",
    "logging": "SELECT * FROM enable_logging()",
    "call": "CALL pragma_version()",
    "two statements": "SELECT 1; SELECT 2",
    "select, then drop": "SELECT 1; DROP TABLE orders",
    "nothing": "-- only a comment",
    "insert": "INSERT INTO orders VALUES (40)",
    "insert inside a select": "WITH i AS (INSERT INTO orders VALUES (40) RETURNING *) FROM i",
    "update": "UPDATE orders SET amount = 0",
    "delete": "DELETE FROM orders",
    "temporary table": "CREATE TEMP TABLE mine AS SELECT 1",
    "drop inside a query": "SELECT * FROM query('DROP TABLE orders')",
    "transaction": "BEGIN",
    "python module": "SELECT * FROM sys",
    "python variable": "SELECT * FROM databases",
    "lone surrogate": "SELECT '\ud800'",
    "nested too deep": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
}


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_one_harmless_select_is_refused(sandbox: Sandbox, shop: Path, sql: str) -> None:
    result = sandbox.query(shop, sql)
    assert result.error
    assert result.rows == []
    assert still_works(sandbox, shop)


HEAVY = {
    "one value of 2 GB": "SELECT repeat('a', 2000000000)",
    "many large values": "SELECT string_agg(repeat('a', 10000000) || range, '') FROM range(1000)",
    "large sort": "SELECT * FROM range(1000000000) ORDER BY random()",
    "endless recursion": "WITH RECURSIVE r AS (SELECT 1 a UNION ALL SELECT a + 1 FROM r) "
    "SELECT count(*) FROM r",
    "cross product": "SELECT count(*) FROM range(1000000) a JOIN range(1000000) b "
    "ON a.range < b.range",
}


@pytest.mark.parametrize("sql", HEAVY.values(), ids=HEAVY.keys())
def test_a_query_too_heavy_is_stopped_and_the_next_one_works(
    sandbox: Sandbox, shop: Path, sql: str
) -> None:
    started = time.monotonic()
    result = sandbox.query(shop, sql)
    assert result.error
    assert time.monotonic() - started < 5  # the limit is 1 s; the rest is for a busy machine
    assert still_works(sandbox, shop)


def test_rows_and_cells_over_the_limit_are_left_out(sandbox: Sandbox, shop: Path) -> None:
    rows = sandbox.query(shop, "SELECT * FROM range(10000000000)")
    assert (len(rows.rows), rows.truncated) == (50, True)
    cell = sandbox.query(shop, "SELECT repeat('a', 1000)").rows[0][0]
    assert cell == "a" * 100 + "..."


def test_a_result_of_many_columns_is_bounded_as_a_whole(sandbox: Sandbox, shop: Path) -> None:
    columns = ", ".join(f"repeat('a', 100) AS c{i}" for i in range(1000))
    result = sandbox.query(shop, f"SELECT {columns} FROM range(40)")
    # 1000 cells of 100 characters a row: ten rows make the million characters of a result.
    assert (len(result.rows), result.truncated) == (10, True)


def test_a_batch_is_answered_in_order_also_past_a_killed_query(
    sandbox: Sandbox, shop: Path
) -> None:
    endless = HEAVY["endless recursion"]
    one, killed, refused, two = sandbox.query_many(
        [(shop, "SELECT 1"), (shop, endless), (shop, "DROP TABLE orders"), (shop, "SELECT 2")]
    )
    assert one.rows == [(1,)]
    assert killed.error == "Timed out: the query ran longer than 1 s and was stopped."
    assert refused.error == "Refused: only SELECT is allowed, not DROP."
    assert two.rows == [(2,)]


def test_one_worker_serves_many_queries(sandbox: Sandbox, shop: Path) -> None:
    assert still_works(sandbox, shop)
    before = sandbox.process_id
    assert all(still_works(sandbox, shop) for _ in range(20))
    assert sandbox.process_id == before


def test_a_worker_killed_from_outside_is_replaced(sandbox: Sandbox, shop: Path) -> None:
    assert still_works(sandbox, shop)
    assert sandbox.process_id
    os.kill(sandbox.process_id, signal.SIGKILL)
    time.sleep(0.1)  # let the kernel deliver it
    assert still_works(sandbox, shop)


def test_several_databases_stay_apart(sandbox: Sandbox, shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 7 AS amount")
    sql = "SELECT sum(amount) FROM orders"
    results = sandbox.query_many([(shop, sql), (other, sql), (shop, sql)])
    assert [result.rows for result in results] == [[(60,)], [(7,)], [(60,)]]


def test_a_replaced_database_file_is_read_anew(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "changing.duckdb"
    for value in (1, 2):
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE TABLE t AS SELECT {value} AS v")
        assert sandbox.query(path, "SELECT v FROM t").rows == [(value,)]


def test_more_databases_than_stay_open_can_be_asked(sandbox: Sandbox, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.duckdb" for number in range(34)]  # 32 stay open
    for number, path in enumerate(paths):
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE TABLE t AS SELECT {number} AS v")
    results = sandbox.query_many([(path, "SELECT v FROM t") for path in paths])
    assert [result.rows for result in results] == [[(number,)] for number in range(34)]


def test_what_other_databases_keep_in_memory_does_not_fail_a_query(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.duckdb" for number in range(4)]
    text = "hash(range)::VARCHAR || hash(range + 1)::VARCHAR || hash(range + 2)::VARCHAR"
    for path in paths:
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE TABLE t AS SELECT {text} AS s FROM range(500000)")
    # One such database fits into the worker (DuckDB and 30 MB of rows), four do not.
    with Sandbox(memory_mb=160) as cramped:
        results = cramped.query_many([(path, "SELECT max(s) FROM t") for path in paths * 2])
    assert [result.error for result in results] == [None] * 8


def test_a_missing_database_is_the_callers_error(
    sandbox: Sandbox, shop: Path, tmp_path: Path
) -> None:
    with pytest.raises(SandboxError, match="cannot be opened"):
        sandbox.query_many([(tmp_path / "none.duckdb", "SELECT 1"), (shop, "SELECT 1")])
    assert still_works(sandbox, shop)


def test_a_worker_without_room_for_a_database_is_the_callers_error(shop: Path) -> None:
    with Sandbox(memory_mb=20) as cramped, pytest.raises(SandboxError, match="memory"):
        cramped.query(shop, "SELECT 1")


def test_the_worker_sees_no_secrets_of_the_parent(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    with Sandbox() as sandbox:
        assert still_works(sandbox, shop)
        environment = Path(f"/proc/{sandbox.process_id}/environ")
        if not environment.exists():
            pytest.skip("no /proc on this system")
        assert b"hidden" not in environment.read_bytes()


def test_a_late_query_dies_by_its_own_alarm_also_when_the_parent_is_gone(shop: Path) -> None:
    command = [sys.executable, "-I", str(WORKER), "600", "0.5", "50", "100"]
    line = json.dumps([[str(shop), HEAVY["endless recursion"]]]) + "\n"
    # Nobody waits for the answer and nobody kills: only the worker's own alarm can end it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.write(line.encode())
        process.stdin.flush()
        assert process.wait(timeout=20) == -signal.SIGALRM
