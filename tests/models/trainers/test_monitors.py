"""What the monitors see in logged rows, and what they ask for, in failing and healthy runs."""

import math
import random
from typing import Any

import msgspec
import pytest

from models.trainers.monitors import Monitors
from models.trainers.rules import Decision, Kind, Seen
from schemas.monitor_config import MonitorConfig

STEPS = 30


def played(**changed: float) -> dict[str, float]:
    """A row of a play run in which all is well."""
    names = {
        "mixed": "groups/mixed", "truncated": "completions/clipped_ratio",
        "malformed": "completions/malformed", "failures": "tools/failure_frequency",
        "clipped": "clip_ratio/region_mean", "abstained": "rewards/abstained",
    }  # fmt: skip
    row = {
        "loss": 0.01, "grad_norm": 0.3, "kl": 0.03, "entropy": 0.1, "reward": 0.6, "mixed": 0.5,
        "truncated": 0.02, "malformed": 0.01, "failures": 0.2, "clipped": 0.0, "abstained": 0.0,
        **changed,
    }  # fmt: skip
    return {names.get(name, name): value for name, value in row.items()}


def watch(
    rows: list[dict[str, float]], kind: Kind = "play", of: int = STEPS, every: int = 1,
    guess: float | None = None, **limits: Any,
) -> list[tuple[int, Decision]]:  # fmt: skip
    """Show rows to monitors until one stops the run; gives decisions, with the step of each."""
    monitors = Monitors(MonitorConfig(**limits), kind, guess)
    found = []
    for number, row in enumerate(rows, start=1):
        step = number * every
        found += [(step, d) for d in monitors.judge(step, of, row).decisions]
        if any(d.remedy in ("stop", "roll_back_and_stop") for _, d in found):
            break
    return found


def remedies(found: list[tuple[int, Decision]]) -> list[tuple[int, str, str]]:
    return [(step, d.monitor, d.remedy) for step, d in found]


def weak_start(seed: int) -> list[dict[str, float]]:
    """Make up a healthy run as it was measured on the embedded agent: 30 steps of 24 groups of 8.

    Entropy falls from .3 to .05, mixed groups from .7 to .3, KL grows to .08, reward rises from .35
    to .85 with the noise of a step, .07.
    """
    noise = random.Random(seed)
    rows = []
    for step in range(STEPS):
        part = step / (STEPS - 1)
        rows.append(
            played(
                reward=0.35 + 0.5 * math.sqrt(part) + noise.gauss(0, 0.07),
                entropy=0.3 * (0.05 / 0.3) ** part, mixed=0.7 - 0.4 * part + noise.gauss(0, 0.08),
                kl=0.08 * part * noise.uniform(0.7, 1.3), grad_norm=noise.lognormvariate(-1, 0.7),
                truncated=max(0.0, 0.1 * (1 - part) + noise.gauss(0, 0.02)),
            )
        )  # fmt: skip
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_from_a_weak_start_is_left_alone(seed: int) -> None:
    assert watch(weak_start(seed)) == []


def test_a_few_noisy_scenarios_a_step_raise_no_alarm() -> None:
    # Four groups a step: the mean reward of a step has a deviation of about .2.
    for seed in range(20):
        noise = random.Random(seed)
        rows = [played(reward=min(1, max(0, noise.gauss(0.6, 0.2)))) for _ in range(STEPS)]
        assert watch(rows) == []


def test_a_divergence_that_explodes_goes_back_and_stops_even_while_warming_up() -> None:
    rows = [played(kl=0.02), played(kl=0.9), played(kl=2.1)]
    found = watch(rows)
    assert remedies(found) == [(3, "kl", "roll_back_and_stop")]
    assert found[0][1].saw == "the policy is 2.10 nats a token from its start (limit 0.5)"


def test_one_token_of_huge_ratio_stops_nothing() -> None:
    rows = [played() for _ in range(12)]
    rows[8] = played(kl=1.7)
    assert watch(rows) == []


def test_a_divergence_over_its_band_halves_the_rate_a_few_times_and_then_says_so_once() -> None:
    found = watch([played(kl=0.2)] * STEPS, halvings=3)
    # Warm-up ends with step 5; each halving waits for a new window of five rows.
    assert remedies(found) == [
        (6, "kl", "halve_rate"), (11, "kl", "halve_rate"), (16, "kl", "halve_rate"),
        (21, "kl", "none"),
    ]  # fmt: skip
    assert found[-1][1].spent == "as often as it may be (3)"


def test_an_idle_run_is_told_once_in_its_second_half() -> None:
    found = watch([played(kl=0.0002)] * STEPS)
    assert remedies(found) == [(15, "kl_idle", "none")]
    assert "0.00020 nats" in found[0][1].saw


def test_an_idle_divergence_says_nothing_of_imitation() -> None:
    assert watch([played(kl=0.0)] * STEPS, "imitation") == []


def test_a_reward_that_rises_and_falls_goes_back_and_stops() -> None:
    rise = [played(reward=0.4 + 0.02 * step) for step in range(15)]
    fall = [played(reward=0.68 - 0.06 * step) for step in range(1, 11)]
    found = watch(rise + fall)
    ((step, decision),) = found
    assert (decision.monitor, decision.remedy) == ("reward", "roll_back_and_stop")
    # Best window: .64 (steps 11 to 15: .60 to .68), but also 12 to 16: .62 .64 .66 .68 .62 = .644.
    # Then .62 (17), .572 (18: .66 .68 .62 .56 .50 is .604) ... below .494 at step 20: .50.. = .5;
    # step 21: mean(.62 .. ) the windows fall by .06 a step once they lie in the fall: 20 -> .50,
    # 21 -> .44, the first that is more than .15 under .644.
    assert step == 21
    assert decision.saw == "the reward fell from 0.64 to 0.44 (limit 0.15)"


def test_a_reward_that_is_always_the_same_ends_a_run_that_never_moved() -> None:
    rows = [played(reward=0.0, mixed=0.0, grad_norm=0.0, kl=0.0)] * STEPS
    found = watch(rows)
    assert remedies(found) == [
        (6, "groups", "none"), (15, "constant_reward", "roll_back_and_stop"),
        (15, "kl_idle", "none"),
    ]  # fmt: skip
    assert "no two rollouts of a scenario earned differently (reward 0.00)" in found[1][1].saw


def test_groups_that_come_to_agree_are_told_and_the_run_goes_on() -> None:
    agreed = played(mixed=0.05, reward=0.99)  # here and there one that still differs
    # Windows with n rows of .05 and 5 - n of .5 are under .1 for n = 5 alone: steps 11 to 15.
    assert remedies(watch([played()] * 10 + [agreed] * 20)) == [(15, "groups", "none")]


def test_rewards_that_are_always_none_stop_the_run_at_once() -> None:
    found = watch([played(abstained=1.0, mixed=0.0, reward=math.nan)] * 8)
    assert remedies(found)[0] == (5, "abstained", "roll_back_and_stop")
    assert found[0][1].saw.startswith("100% of the rollouts have no reward")


def test_tools_that_all_fail_stop_the_run_at_once() -> None:
    found = watch([played(failures=0.98)] * 5)
    assert remedies(found) == [(5, "environment", "roll_back_and_stop")]
    assert "98% of the tool calls fail" in found[0][1].saw


def test_entropy_that_collapses_raises_the_temperature_twice() -> None:
    found = watch([played(entropy=0.001, reward=0.4)] * STEPS)
    assert remedies(found) == [
        (6, "entropy", "raise_temperature"), (11, "entropy", "raise_temperature"),
        (16, "entropy", "none"),
    ]  # fmt: skip


def test_a_policy_that_has_learnt_all_need_not_explore() -> None:
    found = watch([played(entropy=0.001, reward=0.98)] * STEPS)
    assert remedies(found) == [(6, "entropy_solved", "none")]


def test_truncation_that_training_brought_halves_the_rate() -> None:
    found = watch([played(truncated=0.05)] * 8 + [played(truncated=0.6)] * 4)
    # Window of steps 6 to 10: .05 .05 .05 .6 .6 is .27, over .2.
    assert remedies(found) == [(10, "truncated", "halve_rate")]
    assert found[0][1].saw == "27% of the episodes run into a limit, 5% did before"


def test_a_policy_that_lost_its_language_in_the_first_steps_goes_back() -> None:
    # All is well in the first row alone, then no episode ends: the window of steps 2 to 6 is 1.
    found = watch([played()] + [played(truncated=1.0, reward=0.0, mixed=0.0)] * 10)
    assert remedies(found)[0] == (6, "truncated", "roll_back")
    assert found[0][1].saw == "100% of the episodes run into a limit, 2% did before"


def test_truncation_from_the_first_step_is_a_matter_of_limits() -> None:
    found = watch([played(truncated=0.6)] * STEPS)
    assert remedies(found) == [(6, "truncated_from_start", "none")]


def test_ratios_that_are_clipped_halve_the_rate() -> None:
    assert remedies(watch([played(clipped=0.5)] * 6)) == [(6, "clipped", "halve_rate")]


def test_gradients_far_above_their_median_twice_running_halve_the_rate() -> None:
    usual = [played(grad_norm=0.2)] * 10
    assert watch([*usual, played(grad_norm=30.0), played()]) == []
    found = watch([*usual, played(grad_norm=30.0), played(grad_norm=12.0)])
    assert remedies(found) == [(12, "gradient", "halve_rate")]
    assert found[0][1].saw == "the gradient is 60 times its median"  # 12 / .2


@pytest.mark.parametrize("kind", ["imitation", "preference", "play"])
@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_what_is_not_a_number_goes_back_once_and_then_stops(kind: Kind, name: str) -> None:
    found = watch([{"loss": 1.0, "grad_norm": 1.0, name: math.nan}] * 2, kind)
    assert remedies(found) == [(1, "nan", "roll_back"), (2, "nan", "roll_back_and_stop")]


def test_a_loss_that_rises_from_its_lowest_goes_back() -> None:
    fine = [{"loss": value} for value in (5.0, 3.0, 2.0, 1.0, 0.8)]
    high = [{"loss": 4.0}] * 3
    found = watch(fine + high, "imitation", every=5, of=500)
    # Medians: 5, 4, 3, 2.5, 2, then of five: 2 (3 2 1 .8 4), 2 (2 1 .8 4 4), 4: rose by 2.
    assert remedies(found) == [(40, "loss", "roll_back")]
    assert found[0][1].saw == "the loss rose from 2.00 to 4.00"


def test_a_loss_above_that_of_guessing_has_diverged_wherever_it_began() -> None:
    rows = [{"loss": 9.0}] * 2
    assert watch(rows, "imitation") == []
    found = watch(rows, "imitation", guess=6.0)
    assert remedies(found) == [(1, "loss", "roll_back"), (2, "loss", "roll_back_and_stop")]


def test_a_healthy_imitation_is_left_alone_until_its_end() -> None:
    noise = random.Random(0)
    rows = [
        {"loss": 6 * math.exp(-n / 8) + noise.uniform(0, 0.3), "grad_norm": 3 * math.exp(-n / 20)}
        for n in range(60)
    ]
    assert watch(rows, "imitation", of=300, every=5, guess=6.0) == []


def test_pairs_that_are_not_learnt_are_told() -> None:
    rows = [{"loss": 0.7, "rewards/accuracies": 0.4}] * 8
    found = watch(rows, "preference", of=40, every=5)
    assert remedies(found) == [(25, "preference", "none")]
    assert found[0][1].saw == "only 40% of the pairs are told right"


def test_a_probe_that_falls_goes_back_and_stops() -> None:
    monitors = Monitors(MonitorConfig(probe_scenarios=200), "imitation")
    assert monitors.probed(0.8).healthy
    # Twice the standard error at (.8 + .76) / 2 = .78: 2 sqrt(2 * .78 * .22 / 200) = .083 < .1.
    assert monitors.probed(0.76).healthy
    assert not monitors.probed(0.72).healthy
    (decision,) = monitors.probed(0.65).decisions
    assert (decision.monitor, decision.remedy) == ("probe", "roll_back_and_stop")
    assert decision.saw == "held-out success fell from 0.80 to 0.65 (limit 0.10)"


def test_a_probe_of_few_scenarios_allows_for_its_error() -> None:
    monitors = Monitors(MonitorConfig(probe_scenarios=20), "play")
    monitors.probed(0.6)
    # Twice the error: 2 sqrt(2 * .525 * .475 / 20) = .316.
    assert monitors.probed(0.45).decisions == []


def test_only_the_weightiest_remedy_of_a_row_is_used() -> None:
    rows = [played(kl=0.2, clipped=0.9)] * 5 + [played(kl=0.2, clipped=0.9, loss=math.nan)]
    assert remedies(watch(rows)) == [(6, "nan", "roll_back")]


def test_what_was_seen_goes_on_over_a_resume() -> None:
    rows = [*weak_start(3)[:12], *[played(kl=0.2)] * 18]
    whole = watch(rows)
    first, second = (Monitors(MonitorConfig(), "play") for _ in range(2))
    found = []
    for step, row in enumerate(rows[:17], start=1):
        found += [(step, d) for d in first.judge(step, STEPS, row).decisions]
    second.seen = msgspec.json.decode(msgspec.json.encode(first.seen), type=Seen)
    for step, row in enumerate(rows[17:], start=18):
        found += [(step, d) for d in second.judge(step, STEPS, row).decisions]
    assert whole
    assert found == whole


def test_weights_count_as_good_only_well_inside_the_limits() -> None:
    monitors = Monitors(MonitorConfig(), "play")
    assert monitors.judge(1, STEPS, played()).healthy
    for changed in ({"kl": 0.2}, {"failures": 0.95}, {"abstained": 0.95}):
        assert not monitors.judge(2, STEPS, played(**changed)).healthy
    assert monitors.judge(5, STEPS, played()).healthy
    assert monitors.judge(6, STEPS, played()).healthy
    # A third of the limit, .05, under the best window (.6): five rows of which one earned .3.
    assert not monitors.judge(7, STEPS, played(reward=0.3)).healthy
