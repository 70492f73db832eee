"""Scenarios whose groups come out mixed are drawn more often."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import TrainerControl, TrainerState

from models.trainers.curriculum import Curriculum

ROWS: list[dict[str, Any]] = [{"number": n, "kind": "ab"[n % 2]} for n in range(40)]
KINDS = [row["kind"] for row in ROWS]


def test_at_first_kinds_are_drawn_as_they_are() -> None:
    assert Curriculum(ROWS, KINDS, 0).weights() == {"a": 0.5, "b": 0.5}


def test_a_kind_that_is_always_solved_is_drawn_less_but_never_forgotten() -> None:
    made = Curriculum(ROWS, KINDS, 0)
    for _ in range(30):
        drawn = made.draw(16)
        made.learn([row["kind"] == "a" for row in drawn])  # only `a` comes out mixed
    # With FADES .8 about 16 / .2 * share groups are remembered; `b` falls to the floor of .1.
    assert made.weights()["b"] < 0.12
    seen = Counter(row["kind"] for _ in range(30) for row in made.draw(16))
    assert 10 < seen["b"] < 110


def test_without_a_curriculum_scenarios_come_in_their_order() -> None:
    made = Curriculum(ROWS, KINDS, 0, even=True)
    assert [row["number"] for row in made.draw(3)] == [0, 1, 2]
    made.learn([False] * 3)
    assert [row["number"] for row in made.draw(3)] == [3, 4, 5]


def test_no_scenario_is_drawn_twice_before_its_kind_is_used_up() -> None:
    made = Curriculum(ROWS, KINDS, 3)
    drawn = [row["number"] for _ in range(3) for row in made.draw(5)]
    assert len(set(drawn)) == len(drawn)


def test_a_resumed_run_draws_what_the_uninterrupted_one_would(tmp_path: Path) -> None:
    args = SimpleNamespace(output_dir=str(tmp_path))
    state = TrainerState(global_step=2, max_steps=5, is_world_process_zero=True)
    (tmp_path / "checkpoint-2").mkdir()
    made = Curriculum(ROWS, KINDS, 1)
    for _ in range(2):
        made.draw(6)
        made.learn([True, False] * 3)
    made.on_save(args, state, TrainerControl())
    resumed = Curriculum(ROWS, KINDS, 1)
    resumed.on_train_begin(args, state, TrainerControl())
    assert resumed.draw(6) == made.draw(6)
