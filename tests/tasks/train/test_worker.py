"""What a worker makes of a candidate's stages, and which scenarios score it."""

from schemas.dataset import Scenario
from tasks.train.worker import history, remarks, scored


def stage(name: str, *, acted: list[dict[str, object]] | None = None, stopped: str = "") -> dict:
    return {
        "name": name, "steps": 12, "of": 38, "stopped": stopped, "acted": acted or [],
        "history": [{"step": 5.0, "loss": 0.5}, {"step": 10.0, "loss": 0.25}],
    }  # fmt: skip


KL = {
    "step": 12, "monitor": "kl", "saw": "KL 0.62 is over 0.5",
    "did": "went back to the last good weights and stopped",
}  # fmt: skip


def test_what_monitors_did_is_told_in_plain_words() -> None:
    assert remarks([stage("grpo", acted=[KL])]) == [
        "step 12: KL 0.62 is over 0.5: went back to the last good weights and stopped"
    ]


def test_of_several_stages_each_line_names_its_own() -> None:
    told = remarks([stage("dpo"), stage("grpo", acted=[KL])])
    assert told[0].startswith("grpo, step 12: KL 0.62")


def test_a_stage_that_time_cut_short_says_so() -> None:
    assert remarks([stage("sft", stopped="time")]) == [
        "sft was cut short by the budget of time after 12 of 38 steps"
    ]
    assert remarks([stage("sft", stopped="share"), stage("dpo")]) == []


def test_a_single_stages_figures_keep_their_names() -> None:
    assert history([stage("sft")]) == [{"step": 5.0, "loss": 0.5}, {"step": 10.0, "loss": 0.25}]


def test_figures_of_several_stages_stay_apart_also_of_the_same_stage_twice() -> None:
    rows = history([stage("rejection"), stage("rejection")])
    assert rows[0] == {"step": 5.0, "0-rejection/loss": 0.5}
    assert rows[3] == {"step": 10.0, "1-rejection/loss": 0.25}


def test_a_share_of_the_scenarios_is_spread_over_them() -> None:
    scenarios = [
        Scenario(
            scenario_id=str(n), split="validation", slice="s", specification=str(n),
            composition="c", question="?", environment="sql_agent", row="{}",
        )
        for n in range(10)
    ]  # fmt: skip
    # Five of ten: every second one, from the first.
    assert [s.scenario_id for s in scored(scenarios, 0.5)] == ["0", "2", "4", "6", "8"]
    assert scored(scenarios, 1.0) == scenarios
    assert len(scored(scenarios, 0.01)) == 1
