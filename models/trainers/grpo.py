"""GRPO and RLOO by play in an environment, over TRL's trainer.

TRL owns the loss, the group advantages and the optimizer loop. Ours is what stands around it:
rollouts by `models.generation` (one decode loop, the cache kept across turns), scenarios drawn by
what groups came out mixed, credit by step, the divergence from the start, and the mean of the last
steps' weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import GRPOConfig as TrlGrpoConfig

from models.chat import parse_turn
from models.generation import Player, Sampling
from models.policy import LoadedPolicy
from models.trainers.advantages import outcome_advantages, returns_to_go, spread
from models.trainers.averaging import WeightAverage
from models.trainers.curriculum import Curriculum
from models.trainers.drift import StartPolicy, at_once, measured_kl, token_logprobs
from models.trainers.parts import LossInParts
from models.trainers.run import Ran, TrainerRun, batches, run_trainer, trainer_arguments
from schemas.episode import Message, ToolCall
from schemas.recipe_config import GrpoConfig
from schemas.rollout import Rollout

Chat = list[dict[str, Any]]
Judge = Callable[[Sequence[Rollout], Sequence[Chat]], Sequence[float | None]]
"""Gives rewards to rollouts that their environment could not judge; None abstains as well."""


@dataclass
class Play:
    """What a trainer plays by."""

    config: GrpoConfig
    sampling: Sampling
    curriculum: Curriculum
    start: StartPolicy | None
    """None where the divergence is not measured."""
    judge: Judge | None


class PlayedGrpoTrainer(LossInParts):
    """TRL's GRPO trainer over `models.generation.Player`, or over TRL's or vLLM's own rollouts."""

    play: Play
    _rollouts: list[Rollout]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Play the scenarios that the curriculum draws, and give each step its advantage."""
        size = cast(int, self.num_generations)
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        rows = self.play.curriculum.draw(len(inputs) * processes // size)
        repeated = [row for row in rows for _ in range(size)]
        mine = repeated[rank * len(inputs) : (rank + 1) * len(inputs)]
        output: dict[str, Any] = super()._generate_and_score_completions(mine)
        config = self.play.config
        if config.process_weight or config.baseline != "group":
            output["advantages"] = self._step_advantages(output["completion_mask"].shape[1])
        return output

    def _generate(self, prompts: list[Chat]) -> tuple[Any, ...]:
        """Play the batch; the return value is what `GRPOTrainer._generate` returns."""
        if self.play.config.rollouts == "player":
            self._rollouts = self._played(prompts)
            answered: tuple[Any, ...] = (
                [r.prompt_ids for r in self._rollouts],
                [r.completion_ids for r in self._rollouts],
                [r.agent_mask for r in self._rollouts],
                [
                    [{"role": m.role, "content": m.content or ""} for m in r.messages]
                    for r in self._rollouts
                ],
                None, {}, None, [],
            )  # fmt: skip
        else:
            answered = super()._generate(prompts)
            self._rollouts = self._of_trl(answered)
        if self.play.judge is not None:
            open_ones = [i for i, r in enumerate(self._rollouts) if r.reward is None]
            asked = [self._rollouts[i] for i in open_ones]
            for i, reward in zip(
                open_ones, self.play.judge(asked, [prompts[i] for i in open_ones]), strict=True
            ):
                self._rollouts[i].reward = reward
        self._tell_kl()
        return answered

    def _played(self, prompts: list[Chat]) -> list[Rollout]:
        """Play with our own decode loop, and tell how it went."""
        environments = cast(list[Any], self.environments)
        # No step shares another's seed, nor does a process.
        seed = self.args.seed * 100_003 + self.state.global_step + 1
        seed += 7_919_000_003 * self.accelerator.process_index
        model = cast(PreTrainedModel, self.model)
        player = Player(model, self._tokenizer, self.play.sampling, seed)
        rollouts = player.play(environments, prompts)
        calls = sum(r.tool_calls for r in rollouts)
        self._tell("completions/clipped_ratio", sum(r.truncated for r in rollouts) / len(rollouts))
        lengths = [sum(r.agent_mask) for r in rollouts]
        self._tell("completions/mean_length", sum(lengths) / len(rollouts))
        self._tell("tools/call_frequency", calls / len(rollouts))
        self._tell("tools/failure_frequency", sum(r.tool_errors for r in rollouts) / max(calls, 1))
        return rollouts

    def _of_trl(self, answered: tuple[Any, ...]) -> list[Rollout]:
        """Read what TRL's loop played: malformed calls from the raw ids, verdicts by the worlds."""
        prompt_ids, completion_ids, masks, completions, logprobs = answered[:5]
        masks = masks or [[1] * len(ids) for ids in completion_ids]  # None where there is no tool
        end = int(self._tokenizer.eos_token_id)
        rollouts = []
        for i, environment in enumerate(cast(list[Any], self.environments)):
            ids, mask = completion_ids[i], masks[i]
            said = ids[len(mask) - mask[::-1].index(0) :] if 0 in mask else ids
            truncated = not ids or ids[-1] != end
            malformed = not truncated and parse_turn(self._tokenizer.decode(said[:-1])).malformed
            messages = [_message(m) for m in completions[i]]
            if hasattr(environment, "_finish"):
                answer = messages[-1].content if messages and not truncated else None
                environment._finish(answer, malformed)  # noqa: SLF001 - TRL takes public names for tools
            reward = environment.get_reward() if hasattr(environment, "get_reward") else None
            known = logprobs[i] if logprobs is not None else []
            rollouts.append(
                Rollout(
                    scenario_id="", attempt=0, messages=messages,
                    reward=0.0 if malformed and reward is not None else reward,
                    turns=sum(m.role == "assistant" for m in messages),
                    tool_calls=sum(len(m.tool_calls) for m in messages),
                    tool_errors=sum(bool(m.error) for m in messages), malformed=malformed,
                    truncated=truncated, prompt_ids=prompt_ids[i], completion_ids=ids,
                    agent_mask=mask, logprobs=known,
                )
            )  # fmt: skip
        return rollouts

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Give the rollouts' verdicts, (rollouts of all processes, 1), NaN where there is none."""
        device = self.accelerator.device
        rewards = torch.tensor(
            [[float("nan") if r.reward is None else float(r.reward)] for r in self._rollouts],
            device=device,
        )
        gathered: torch.Tensor = self.accelerator.gather(rewards)
        groups = gathered.view(-1, cast(int, self.num_generations))
        mixed = [len({float(v) for v in group if not v.isnan()}) > 1 for group in groups]
        self.play.curriculum.learn(mixed)
        malformed = sum(r.malformed for r in self._rollouts) / len(self._rollouts)
        self._tell("completions/malformed", malformed)
        self._tell("groups/mixed", sum(mixed) / len(mixed))
        self._tell("rewards/abstained", float(gathered.isnan().float().mean()))
        return gathered

    def _step_advantages(self, width: int) -> torch.Tensor:
        """Give each token its turn's advantage: (rollouts of this process, width)."""
        config, size = self.play.config, cast(int, self.num_generations)
        mine = torch.tensor(
            [float("nan") if r.reward is None else float(r.reward) for r in self._rollouts],
            device=self.accelerator.device,
        )
        # Groups never span processes here (train_grpo sees to it); the batch's deviation may.
        everyone = self.accelerator.gather(mine)
        first = self.accelerator.process_index * len(mine)
        outcome, divisor = (
            part[first : first + len(mine)].tolist()
            for part in outcome_advantages(
                everyone, size, baseline=config.baseline, scale=config.scale_rewards
            )
        )
        worth = returns_to_go(self._rollouts, size, config.discount)
        rows = []
        for i, rollout in enumerate(self._rollouts):
            judged = rollout.reward is not None
            steps = [
                outcome[i] + config.process_weight * step / divisor[i] if judged else 0.0
                for step in worth[i]
            ]
            rows.append(spread(steps, rollout.agent_mask, width))
        return torch.tensor(rows, device=self.accelerator.device)

    def _tell_kl(self) -> None:
        """Measure how far the policy is from its start; TRL does so where it is penalised."""
        start, count = self.play.start, self.play.config.kl_rows
        if start is None or not count or self.beta:
            return
        model = cast(PreTrainedModel, self.model)
        chosen = self._rollouts[:: max(1, len(self._rollouts) // count)][:count]
        if self.play.config.rollouts != "player":  # another engine's figures differ a little
            most = at_once(model, chosen)
            for begin in range(0, len(chosen), most):
                part = chosen[begin : begin + most]
                with torch.inference_mode():
                    found = token_logprobs(model, part, self.play.sampling.temperature)
                for rollout, row in zip(part, found.tolist(), strict=True):
                    rollout.logprobs = row[: len(rollout.completion_ids)]
        self._tell("kl", measured_kl(start, chosen, self.play.sampling.temperature))

    def _tell(self, name: str, value: float) -> None:
        """Log a figure: the mean over the processes."""
        local = torch.tensor([value], device=self.accelerator.device)
        mode = "train" if cast(torch.nn.Module, self.model).training else "eval"
        self._metrics[mode][name].append(float(self.accelerator.gather(local).mean()))


def _message(told: dict[str, Any]) -> Message:
    """Read one message of TRL's loop."""
    calls = []
    for call in told.get("tool_calls") or []:
        made = call.get("function", call)
        arguments = made.get("arguments")
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        calls.append(ToolCall(name=made["name"], arguments=text))
    content = str(told.get("content") or "")
    failed = told["role"] == "tool" and content.startswith("Error:")
    return Message(role=told["role"], content=content, tool_calls=calls, error=failed)


def train_grpo(
    policy: LoadedPolicy,
    rows: Sequence[dict[str, Any]],
    environment_factory: Callable[[], Any],
    *,
    config: GrpoConfig,
    sampling: Sampling,
    run: TrainerRun,
    kinds: Sequence[str] = (),
    judge: Judge | None = None,
) -> Ran:
    """Improve a policy in place by play.

    Args:
        policy: Trained in place.
        rows: One a scenario: `prompt` (chat messages) and the columns `reset(**row)` takes.
        environment_factory: Makes one environment of TRL's contract with `get_reward`.
        config: The recipe.
        sampling: How rollouts are played; temperature and length are the recipe's.
        run: Where it writes, what it tells and when it stops.
        kinds: The kind of each scenario, for the curriculum; empty draws them as they come.
        judge: Rewards what the environment cannot judge.

    Returns:
        How far it came, and what was logged a step. Ours beside TRL's: `groups/mixed`, the share of
        groups whose rewards differ; `kl`, nats a token from the start; `rewards/abstained`,
        `completions/malformed`.

    Source: Shao et al. 2024, https://arxiv.org/abs/2402.03300; token-level loss as in DAPO, Yu et
        al. 2025, https://arxiv.org/abs/2503.14476, equation 12.
    """
    start = StartPolicy(policy.model) if config.kl_rows and not config.beta else None
    average = WeightAverage(config.average_last)
    even = not (config.curriculum and kinds)
    curriculum = Curriculum(rows, kinds or [""] * len(rows), run.seed, even=even)
    # Fewer scenarios than a step takes come again; TRL trains no step on less than a whole batch.
    opened = [rows[n % len(rows)]["prompt"] for n in range(config.scenarios_per_step)]
    trainer = PlayedGrpoTrainer(
        model=policy.model,
        args=grpo_settings(config, sampling, run, policy.model.device.type),
        train_dataset=Dataset.from_dict({"prompt": opened}),  # the curriculum draws the scenarios
        processing_class=policy.tokenizer,
        environment_factory=environment_factory,
    )
    limits = replace(sampling, temperature=config.temperature)
    trainer.play = Play(config, limits, curriculum, start, judge)
    trainer.rows_at_once = config.micro_batch
    ran = run_trainer(trainer, run, [curriculum, average])
    if not ran.stopped or ran.stopped == "time":
        average.put_into(policy.model)
    return ran


def grpo_settings(
    config: GrpoConfig, sampling: Sampling, run: TrainerRun, device: str
) -> TrlGrpoConfig:
    """Give TRL's settings for a recipe."""
    served: dict[str, Any] = {}
    if config.rollouts == "vllm":
        served = {
            "use_vllm": True, "vllm_mode": config.vllm_mode,
            "vllm_server_base_url": config.vllm_url if config.vllm_mode == "server" else None,
            "vllm_gpu_memory_utilization": config.vllm_memory,
        }  # fmt: skip
    if config.rollouts != "player":
        most = "max_tokens" if config.rollouts == "vllm" else "max_new_tokens"
        served["generation_kwargs"] = {most: sampling.turn_tokens}
        served["max_tool_calling_iterations"] = sampling.turns
    return TrlGrpoConfig(
        **{**trainer_arguments(run, device), "logging_steps": 1},
        max_steps=config.steps,
        **{
            name: count * config.generations if "batch" in name else count
            for name, count in batches(run, config.scenarios_per_step).items()
        },
        num_generations=config.generations,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        temperature=config.temperature,
        loss_type=config.loss_type,
        importance_sampling_level=config.importance_sampling_level,
        scale_rewards=config.scale_rewards,
        beta=config.beta,
        epsilon_high=config.epsilon_high,
        entropy_coef=config.entropy_coef,
        mask_truncated_completions=config.mask_truncated,
        max_completion_length=sampling.episode_tokens,
        **served,
    )
