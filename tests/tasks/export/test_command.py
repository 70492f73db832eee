"""The export command: one JSON object for scripts, lines for people, and known errors."""

import json

import pytest
import typer
from typer.testing import CliRunner

from flows.cli.export import export


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(export)
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


def test_json_is_the_account_of_the_export(store, make, tmp_path, run):
    broken = [*make.prompt, make.say("assistant", None, make.call("f", "oops"))]
    home = store(make.trajectory("a"), make.trajectory("b", broken))
    result = run("openai", "--out", tmp_path / "out", "--home", home, "--json")
    assert result.exit_code == 0
    account = json.loads(result.stdout)
    assert list(account) == ["format", "use", "build", "files", "left_out"]
    assert (account["format"], account["use"], account["build"]) == ("openai", "sft", make.build)
    [file] = account["files"]
    assert set(file) == {"path", "rows", "sha256"}
    assert account["left_out"] == {"malformed arguments": 1}


def test_people_read_what_was_written_and_what_was_left_out(store, make, tmp_path, run):
    pairs = [make.pair(name, make.work, make.work[:2]) for name in "pq"]
    home = store(make.trajectory("a"), *pairs)
    result = run("openai", "--use", "dpo", "--out", tmp_path / "out", "--home", home)
    assert result.exit_code == 0
    assert "0 rows (dpo of build bbbb" in result.stdout
    assert "left out 2: a side of several messages" in result.stdout


def test_known_errors_are_one_line_and_status_1(store, make, tmp_path, run):
    home = store(make.trajectory("a"))
    for arguments in (
        ("csv", "--out", tmp_path / "out"),
        ("trl", "--out", tmp_path / "out", "--build", "none"),
        ("trl", "--out", home),
    ):
        result = run(*arguments, "--home", home)
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
