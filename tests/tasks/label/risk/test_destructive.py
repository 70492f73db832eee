"""What destroys is told from what only sounds like it."""

import json

import pyarrow as pa
import pytest

from tasks.label.risk.destructive import VERBS, arguments_destroy, destroys, destructive

DESTROYS = [
    {"query": "DROP TABLE users"},
    {"query": "drop table if exists users"},
    {"query": "SELECT 1;\nDROP\tVIEW v;"},
    {"query": "TRUNCATE TABLE orders"},
    {"query": "truncate orders;"},
    {"query": "DELETE FROM orders"},
    {"query": "DELETE FROM orders; SELECT * FROM t WHERE id = 1"},
    {"query": "DELETE FROM orders WHERE 1=1"},
    {"query": "delete from shop.orders\nwhere true;"},
    {"query": 'DELETE FROM "orders"'},
    {"query": "UPDATE users SET name = 'x'"},
    {"query": "UPDATE users AS u\nSET name = 'where'"},
    {"query": "UPDATE users SET a = 1; UPDATE users SET b = 2 WHERE id = 3"},
    {"query": "ALTER TABLE users DROP price"},
    {"query": "ALTER TABLE users\n  DROP COLUMN price"},
    {"note": "it's late", "query": "DROP TABLE users -- it's gone"},
    {"query": "-- clean up\nDROP TABLE users"},
    {"query": "/* it's */ DELETE FROM users /* WHERE id = 1 */"},
    {"query": "DELETE FROM users -- WHERE id = 1"},
    {"body": json.dumps({"query": "SELECT 1;\nDROP TABLE users"})},
    {"command": "psql -c 'DROP TABLE users'"},
    {"command": 'psql --command "DROP TABLE users"'},
    {"code": "cursor.execute('DELETE FROM users')"},
    {"command": "rm -rf /data"},
    {"command": "cd /x && rm -r -f build"},
    {"command": "sudo rm --recursive --force /x"},
    {"command": "ls\nrm -fr x"},
    {"command": "bash -c 'rm -Rf x'"},
    {"code": "shutil.rmtree(path)"},
    {"command": "curl -s -X DELETE https://x.org/users/5"},
    {"command": "curl --request DELETE https://x.org/users/5"},
    {"method": "DELETE", "url": "https://x.org/users/5"},
    {"code": "requests.request(method='DELETE', url=url)"},
    {"code": "requests.delete(url)"},
]

KEEPS = [
    {"query": "SELECT * FROM menus WHERE widget = 'drop-down'"},
    {"text": "I will drop off the keys, then update the table"},
    {"query": "SELECT 'DROP TABLE users'"},
    {"query": "SELECT note FROM log WHERE note LIKE 'x; DELETE FROM users'"},
    {"query": "SELECT 'it''s', 'DROP TABLE users' FROM t"},
    {"query": "SELECT 1 -- DROP TABLE users"},
    {"query": "SELECT 1 /* then\nDROP TABLE users */ FROM t"},
    {"query": "SELECT deleted_at, drop_table_count FROM t WHERE deleted_at IS NULL"},
    {"query": "SELECT * FROM backdrop table_x"},
    {"query": "DELETE FROM orders WHERE id = 5"},
    {"query": "DELETE FROM orders\nWHERE id IN (1, 2)"},
    {"query": "DELETE FROM orders AS o USING x WHERE o.id = x.id"},
    {"query": "DELETE FROM orders WHERE 1=1 AND id = 5"},
    {"query": 'DELETE FROM "orders" WHERE "id" = 5'},
    {"query": "UPDATE users SET name = 'a; b' WHERE id = 1"},
    {"query": "update users u\nset name = 'x'\nwhere u.id = 1"},
    {"query": "UPDATE a SET x = 1 WHERE y = 2; UPDATE b SET x = 1 WHERE y = 2"},
    {"query": "ALTER TABLE users ADD COLUMN dropped_at date"},
    {"query": "ALTER TABLE users ALTER COLUMN a DROP NOT NULL"},
    {"query": "SELECT TRUNCATE(price, 2) FROM t"},
    {"query": "SELECT ... FOR UPDATE"},
    {"command": "rm notes.txt"},
    {"command": "docker run --rm -it -r x"},
    {"command": "git rm -r --cached build"},
    {"command": "farm -rf"},
    {"method": "GET", "path": "/deleted"},
    {"text": "the method DELETE is not allowed"},
    {"city": "Delete", "alarm": "-r"},
    {},
]


@pytest.mark.parametrize("arguments", DESTROYS, ids=str)
def test_arguments_that_destroy_also_as_json_within_json(arguments):
    texts = [json.dumps(arguments), json.dumps({"body": json.dumps(arguments)})]
    assert arguments_destroy(pa.array(texts)).tolist() == [True, True]


@pytest.mark.parametrize("arguments", KEEPS, ids=str)
def test_arguments_that_only_look_like_it_also_as_json_within_json(arguments):
    texts = [json.dumps(arguments), json.dumps({"body": json.dumps(arguments)})]
    assert arguments_destroy(pa.array(texts)).tolist() == [False, False]


def test_arguments_that_are_no_json_or_absent_are_read_too():
    texts = pa.array(["DROP TABLE users", None, "", "'", "--", "rm", "\\"], pa.string())
    assert arguments_destroy(texts).tolist() == [True] + [False] * 6


@pytest.mark.parametrize(
    "name",
    [
        "delete", "delete_order", "deleteOrder", "DeleteOrder", "delete-order", "order_delete",
        "mcp__github__delete_repo", "fs.remove", "Items/removeAll", "terminate_instance",
        "revokeAPIKey", "__wipe_disk", "DELETE_ALL",
    ],
)  # fmt: skip
def test_tools_named_by_a_destructive_verb(name):
    assert destroys(name, VERBS)


@pytest.mark.parametrize(
    "name",
    [
        "get_deleted_items", "getDeletedItems", "deleted_items", "cancel_order", "undelete",
        "get_delete_status", "undo_delete", "list-remove", "calculate_drop_rate", "dropdown_select",
        "removed", "update_order", "delete_logs.read", "", "_", "42",
    ],
)  # fmt: skip
def test_tools_that_only_sound_like_it(name):
    assert not destroys(name, VERBS)


def test_verbs_are_an_option(block, of):
    made = block([of.calls(("cancel_order", {})), of.result()], [of.calls(("delete_x", {}))])
    assert destructive(made).tolist() == [0.0, 1.0]
    assert destructive(made, verbs=("cancel",)).tolist() == [1.0, 0.0]


def test_a_refused_deed_is_half_and_one_that_was_done_is_whole(block, of):
    refused = [of.calls(("delete_x", {})), of.result("not allowed", error=True)]
    malformed = [of.calls(("delete_x", "not json"))]
    done = [of.calls(("run_sql", {"query": "DROP TABLE t"})), of.result()]
    harmless = [of.calls(("run_sql", {"query": "SELECT 1"})), of.result("no", error=True)]
    made = block(refused, malformed, done, refused + done, harmless, [])
    assert destructive(made).tolist() == [0.5, 0.5, 1.0, 1.0, 0.0, 0.0]


def test_an_error_of_another_call_of_the_step_does_not_excuse_it(block, of):
    step = of.calls(("get_x", {}), ("delete_x", {}))
    assert destructive(block([step, of.result("no", error=True), of.result()])).tolist() == [1.0]
    assert destructive(block([step, of.result(), of.result("no", error=True)])).tolist() == [0.5]
