"""What each of several processes does in test_processes.py: train, and leave its weights."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from models.generation import Sampling
from models.masks import tokenise
from models.policy import load_policy, save_policy
from models.processes import is_first, join, leave
from models.trainers.grpo import train_grpo
from models.trainers.run import TrainerRun
from models.trainers.sft import train_sft
from schemas.recipe_config import GrpoConfig

PROCESSES = int(os.environ.get("WORLD_SIZE", "1"))
RANK = int(os.environ.get("RANK", "0"))


class Lottery:
    """Pays for every token, so that the rollouts of a group differ."""

    played = 0

    def reset(self, **_: Any) -> None:
        self._answer = ""

    def look(self) -> str:
        """Look around."""
        return "nothing"

    def get_reward(self) -> float:
        Lottery.played += 1
        return float(len(self._answer))

    def _finish(self, answer: str | None, malformed: bool) -> None:
        self._answer = answer or ""


def trained(kind: str, start: Path, folder: Path) -> dict[str, Any]:
    """Train from a start by imitation or by play; say what this process saw."""
    policy = load_policy(start)
    run = TrainerRun(folder / "trainer", 3, processes=PROCESSES, checkpoint_steps=2)
    if kind == "sft":
        chats = [
            [{"role": "user", "content": "is it so?"}, {"role": "assistant", "content": answer}]
            for answer in ("yes", "no", "yes yes", "no no") * 4
        ]
        ran = train_sft(
            policy, tokenise(chats, policy.tokenizer), run=run, learning_rate=1e-3, epochs=1.0,
            batch_size=4, optimizer="muon",
        )  # fmt: skip
    else:
        Lottery.played = 0
        prompts = [{"prompt": [{"role": "user", "content": "is it so?"}]}] * 8
        ran = train_grpo(
            policy, prompts, Lottery, run=run,
            config=GrpoConfig(steps=2, scenarios_per_step=4, generations=4, micro_batch=4),
            sampling=Sampling(temperature=1.0, turn_tokens=8, episode_tokens=16),
        )  # fmt: skip
    weights = {n: p.detach().clone().contiguous() for n, p in policy.model.named_parameters()}
    save_file(weights, folder / f"rank-{RANK}.safetensors")
    save_policy(policy, folder / "policy")
    return {
        "steps": ran.steps, "played": Lottery.played, "first": is_first(),
        "losses": [row["loss"] for row in ran.history if "loss" in row],
        "kl": [row["kl"] for row in ran.history if "kl" in row],
        "mixed": [row["groups/mixed"] for row in ran.history if "groups/mixed" in row],
    }  # fmt: skip


def main() -> None:
    """Do both kinds of training."""
    torch.set_num_threads(1)
    join("cpu")
    start, to = Path(sys.argv[1]), Path(sys.argv[2])
    for kind in ("sft", "grpo"):
        folder = to / kind
        folder.mkdir(parents=True, exist_ok=True)
        seen = trained(kind, start, folder)
        (folder / f"rank-{RANK}.json").write_text(json.dumps(seen))
    leave()


if __name__ == "__main__":
    main()
