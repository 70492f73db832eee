"""Step values are summed up now and then, and say the same before and after."""

from tasks.ingest.ingest import ingest
from tasks.label import commit
from tasks.label.label import label
from warehouse.tables import Warehouse

SUMS = (
    "SELECT state, action, sum(visits) AS visits, round(sum(returns), 9) AS returns"
    " FROM step_values GROUP BY ALL HAVING sum(visits) != 0 ORDER BY ALL"
)


MOST_FILES = 4


def test_many_runs_leave_few_files_and_the_same_sums(config, clock, chat, write, monkeypatch):
    monkeypatch.setattr(commit, "MOST_FILES", MOST_FILES)
    warehouse = Warehouse(config.home)
    files = []
    for number in range(MOST_FILES + 2):
        night = f"2026-01-{number % 28 + 1:02}"
        record = chat(f"r{number}", scenario_id="s", answer=f"a{number}", reward=float(number % 2))
        ingest(config, [write(f"{number}.jsonl", record)], night=night, clock=clock)
        account = label(config, night=night, clock=clock)
        files.append(len(warehouse.files("step_values")))
    assert max(files) == MOST_FILES
    assert files[-2:] == [1, 2]
    # Two steps each: the call (from one state, one action) and the answer.
    [first, answer] = warehouse.sql(SUMS).to_pylist()
    assert first["visits"] == answer["visits"] == MOST_FILES + 2
    assert account["labelled"] == 1
    again = label(config, night=night, clock=clock, everything=True)
    assert again["labelled"] == MOST_FILES + 2
    after = warehouse.sql(SUMS).to_pylist()
    assert [row["visits"] for row in after] == [MOST_FILES + 2] * 2
