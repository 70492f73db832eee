"""Measure training on the CPU: imitation in tokens, and play in steps, against stock TRL."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

from bench.chats import write_chats
from bench.measure import arguments, cpu_seconds, measure, show
from models.chat import TEMPLATE
from models.masks import Masked, tokenise
from models.policy import LoadedPolicy
from models.tiny import new_policy
from models.tokenizer import train_tokenizer
from models.trainers.run import TrainerRun
from models.trainers.sft import train_sft
from schemas.training_config import TinyPolicy, TrainConfig

EPISODES = 600
"""Episodes trained on; enough that start-up does not count."""


def chats(logs: Path) -> Iterator[list[dict[str, Any]]]:
    """Read conversations as a chat template takes them: arguments as objects."""
    with logs.open(encoding="utf-8") as lines:
        for line in lines:
            messages = json.loads(line)["messages"]
            for call in (call for message in messages for call in message.get("tool_calls", [])):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
            yield messages


def fine_tune(logs: str, folder: str, seed: int) -> dict[str, Any]:
    """Train the default tiny policy for one pass over the logs; the clock leaves tokenising out."""
    config, size = TrainConfig(), TinyPolicy()
    found = list(chats(Path(logs)))[:EPISODES]
    rendered: Any = render_jinja_template(conversations=found, chat_template=TEMPLATE)
    tokenizer = train_tokenizer(rendered[0], size.vocabulary)
    rows = [row for row in tokenise(found, tokenizer) if len(row.input_ids) <= size.context]
    policy = LoadedPolicy(new_policy(size, tokenizer, seed), tokenizer, folder)
    return {"rows": len(rows), **timed(policy, rows, config, Path(folder), seed)}


def timed(
    policy: LoadedPolicy, rows: list[Masked], config: TrainConfig, folder: Path, seed: int
) -> dict[str, Any]:
    """Train between two looks at the CPU clock."""
    started = cpu_seconds()
    ran = train_sft(
        policy, rows, run=TrainerRun(folder, seed), learning_rate=config.sft.learning_rate,
        epochs=1.0, batch_size=config.sft.batch_size, optimizer=config.sft.optimizer,
    )  # fmt: skip
    cpu_s = cpu_seconds() - started
    tokens = sum(len(row.input_ids) for row in rows)
    return {
        "sft_tokens_per_cpu_s": tokens / cpu_s,
        "tokens": tokens,
        "parameters": policy.model.num_parameters(),
        "last_loss": next(row["loss"] for row in reversed(ran.history) if "loss" in row),
    }


def main() -> None:
    """Write chats and train on them; then play, as we do and as TRL does."""
    options = arguments(__doc__ or "")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as one of several training processes
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with tempfile.TemporaryDirectory() as folder:
        logs = f"{folder}/chats.jsonl"
        write_chats(Path(logs), EPISODES, options.seed)
        trained = measure("bench.train:fine_tune", logs=logs, folder=folder, seed=options.seed)
        policy = measure("bench.play:prepare", folder=folder, seed=options.seed).result
        steps = {
            how: measure(
                "bench.play:steps", folder=folder, policy=policy, seed=options.seed, how=how
            )
            for how in ("ours", "trl_rollouts", "trl")
        }
    play = {how: step.result["cpu_s_a_step"] for how, step in steps.items()}
    figures = {
        **trained.result, "rss_mb": trained.rss_mb, "seconds": trained.seconds,
        **{f"grpo_cpu_s_a_step_{how}": spent for how, spent in play.items()},
        **{f"grpo_reward_{how}": step.result["reward"] for how, step in steps.items()},
        "grpo_episodes_a_cpu_s": steps["ours"].result["episodes_a_cpu_s"],
        "grpo_step_ratio_vs_stock": play["trl"] / play["ours"],
        "grpo_rss_mb": steps["ours"].rss_mb, "grpo_rss_mb_trl": steps["trl"].rss_mb,
    }  # fmt: skip
    show(figures, options.json)


if __name__ == "__main__":
    main()
