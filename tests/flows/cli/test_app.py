"""The command line: what each command prints and how it leaves, on homes without a policy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.lock import locked
from flows.printed import flywheel
from flows.server import free_port
from flows.settings import load_config

CHAT = {
    "id": "e1", "session_id": "s1", "model": "m", "timestamp": "2026-01-01T10:00:00Z",
    "messages": [
        {"role": "user", "content": "how many?"},
        {"role": "assistant", "content": "42"},
    ],
}  # fmt: skip
THUMBS = {"episode_id": "e1", "timestamp": "2026-01-01T11:00:00Z", "kind": "thumbs", "value": 1}


def call(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def call_json(*words: str) -> tuple[int, dict[str, Any]]:
    status, out, _ = call(*words, "--json")
    found = json.loads(out)
    assert out.count("\n") == 1
    return status, found


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "episodes.jsonl").write_text(json.dumps(CHAT) + "\n")
    (folder / "feedback.jsonl").write_text(json.dumps(THUMBS) + "\n")
    return folder


def test_help_starts_without_the_heavy_libraries() -> None:
    code = (
        "import sys\nfrom flows.cli.app import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'mlflow', 'prefect', 'trl', 'duckdb', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_empty_home_says_so_and_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / "none"
    status, out, _ = call("status", "--home", str(home))
    assert status == 0
    config = load_config(home=home)
    demo, ingest = flywheel(config, "demo"), flywheel(config, "ingest PATH")
    assert f"It is empty: run `{demo}`" in out
    assert call_json("status", "--home", str(home)) == (
        0,
        {
            "home": str(home), "tables": {}, "champion": None, "challenger": None,
            "last_night": None, "alarms": [],
            "next": f"It is empty: run `{demo}`, or `{ingest}` with your own logs.",
        },
    )  # fmt: skip
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["lineage"], "MissingStateError"),
        (["rollback"], "MissingStateError"),
        (["label"], "MissingStateError"),
        (["build"], "MissingStateError"),
        (["train"], "MissingStateError"),
        (["evaluate"], "MissingStateError"),
        (["promote"], "MissingStateError"),
        (["sql", "SELECT 1"], "MissingStateError"),
        (["ingest", "no/such/file"], "InputError"),
        (["ingest", "x", "--night", "yesterday"], "ConfigurationError"),
        (["status", "--config", "no-such.yaml"], "ConfigurationError"),
    ],
)
def test_a_known_error_is_one_line_and_status_1(
    tmp_path: Path, words: list[str], kind: str
) -> None:
    status, out, err = call(*words, "--home", str(tmp_path / "none"), "--json")
    assert status == 1
    error = json.loads(out)["error"]
    assert error["kind"] == kind
    assert error["message"]
    assert error["next"]
    assert [line for line in err.splitlines() if "Traceback" in line] == []
    assert len(err.strip().splitlines()) == 1


def test_wrong_usage_is_status_2() -> None:
    assert call("ingest")[0] == 2
    assert call("status", "--no-such-option")[0] == 2


def test_ingest_label_build_and_sql_work_on_the_latest_night(tmp_path: Path, logs: Path) -> None:
    home = ["--home", str(tmp_path / "home")]
    status, found = call_json("ingest", str(logs), "--night", "2026-01-01", *home)
    assert (status, found["episodes"], found["signals"]) == (0, 1, 1)
    status, again = call_json("ingest", str(logs), "--day", "2026-01-01", *home)
    assert (status, again["episodes"], again["duplicates"]) == (0, 0, 1)
    status, labelled = call_json("label", *home)
    assert (status, labelled["success"]) == (0, 1)
    assert call_json("build", *home)[0] == 0
    status, answer = call_json("sql", "SELECT count(*) AS n FROM episodes", *home)
    assert (status, answer) == (0, {"columns": ["n"], "rows": [[1]]})
    status, error = call_json("sql", "DROP TABLE episodes", *home)
    assert (status, error["error"]["kind"]) == (1, "InputError")
    assert "not a DROP statement" in error["error"]["message"]
    status, now = call_json("status", *home)
    assert now["tables"]["episodes"]["rows"] == 1
    assert now["last_night"] == "2026-01-01"
    status, where = call_json("lineage", "e1", *home)
    assert (status, where["episodes"], where["models"]) == (0, 1, [])


def test_doctor_names_each_check_with_what_it_wants(tmp_path: Path) -> None:
    status, found = call_json("doctor", "--home", str(tmp_path))
    names = {check["name"] for check in found["checks"]}
    assert {"python", "fastapi", "sqlalchemy", "memory", "disk", "home", "threads"} <= names
    assert (status == 0) == found["ok"]
    assert list(tmp_path.iterdir()) == []


def test_a_demo_does_not_take_over_a_home_with_other_tables(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    status, found = call_json("demo", "--home", str(tmp_path))
    assert status == 1
    assert "holds tables that no demo made" in found["error"]["message"]


def test_a_demo_with_other_parameters_is_refused(tmp_path: Path) -> None:
    from flows.demo_home import claim_home

    claim_home(load_config(home=tmp_path), 3)
    status, found = call_json("demo", "--seed", "5", "--home", str(tmp_path))
    assert status == 1
    assert "seed = 0, not 5" in found["error"]["message"]


@pytest.mark.parametrize("words", [["demo"], ["run", "nightly", "logs"]])
def test_a_home_that_another_run_holds_is_left_alone(tmp_path: Path, words: list[str]) -> None:
    home = tmp_path / "home"
    with locked(home):
        status, found = call_json(*words, "--home", str(home))
    assert (status, found["error"]["message"]) == (1, f"Another run holds {home}.")
    assert [f.name for f in home.iterdir()] == [".lock"]


def test_a_night_without_logs_says_so_before_anything_starts(tmp_path: Path) -> None:
    status, found = call_json("run", "nightly", "--home", str(tmp_path / "none"))
    assert (status, found["error"]["kind"]) == (1, "MissingStateError")
    assert "flywheel run nightly PATH" in found["error"]["next"]
    assert not (tmp_path / "none").exists()


def test_status_tells_the_rest_when_the_registry_does_not_answer(
    tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ["--home", str(tmp_path / "home")]
    assert call_json("ingest", str(logs), *home)[0] == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    status, found = call_json("status", *home)
    assert (status, found["champion"]) == (0, None)
    assert found["tables"]["episodes"]["rows"] == 1
    assert "that MLFLOW_TRACKING_URI names cannot be reached" in found["alarms"][-1]
    status, found = call_json("lineage", *home)
    assert (status, found["error"]["kind"]) == (1, "FlywheelError")
