"""Policy gradient on logged episodes, each token weighed by how likely it was and is.

TRL's GRPO trainer computes the loss; what it would have played is given to it from the logs, with
the log-probabilities of the policy that acted then. The weight of a token is cut off at a bound and
has no gradient of its own (CISPO), so that a token that the policy has come to like much more than
the one that acted cannot carry a step alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from trl import GRPOConfig as TrlGrpoConfig

from models.masks import Conversation, rendered, tokenise_all
from models.policy import LoadedPolicy
from models.trainers.drift import at_once, token_logprobs
from models.trainers.parts import LossInParts
from models.trainers.run import Ran, TrainerRun, run_trainer, trainer_arguments
from models.trainers.sft import BucketedBatches
from schemas.recipe_config import OffPolicyConfig
from schemas.rollout import Rollout

Floats = npt.NDArray[np.float64]


class LoggedTrainer(LossInParts):
    """TRL's GRPO trainer on rollouts that were logged."""

    rollouts: Sequence[Rollout]
    worth: Sequence[float]
    """Advantage of each."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Give the logged rollouts of a batch, as TRL would give those that it has played."""
        rows = [int(one["row"]) for one in inputs]
        batch = collated(
            [self.rollouts[row] for row in rows], int(self._tokenizer.pad_token_id or 0)
        )
        batch["advantages"] = torch.tensor([self.worth[row] for row in rows])
        batch = {name: value.to(self.accelerator.device) for name, value in batch.items()}
        tokens = (batch["completion_mask"] * batch["tool_mask"]).sum()
        return {**batch, "num_items_in_batch": self.accelerator.gather(tokens).sum()}

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler[int]:
        lengths = [len(r.prompt_ids) + len(r.completion_ids) for r in self.rollouts]
        return BucketedBatches(lengths, self.args.per_device_train_batch_size, self.args.seed)


def collated(rollouts: Sequence[Rollout], pad: int) -> dict[str, torch.Tensor]:
    """Pad rollouts as TRL does: prompts `(batch, prompt)` left, completions `(batch, time)` right.

    Returns:
        Ids and masks of both; `tool_mask`, 1 where the agent spoke; and `old_per_token_logps`,
        what the policy that acted gave each token, 0 where it did not speak.
    """
    prompts = [torch.tensor(r.prompt_ids) for r in rollouts]
    said = [torch.tensor(r.completion_ids) for r in rollouts]

    def left(rows: Sequence[torch.Tensor], value: int) -> torch.Tensor:
        return pad_sequence(list(rows), True, value, padding_side="left")

    def right(rows: Sequence[torch.Tensor], value: float) -> torch.Tensor:
        return pad_sequence(list(rows), True, value)

    return {
        "prompt_ids": left(prompts, pad),
        "prompt_mask": left([torch.ones_like(p) for p in prompts], 0),
        "completion_ids": right(said, pad),
        "completion_mask": right([torch.ones_like(s) for s in said], 0),
        "tool_mask": right([torch.tensor(r.agent_mask) for r in rollouts], 0),
        "old_per_token_logps": right([torch.tensor(r.logprobs) for r in rollouts], 0.0),
    }


def _paid(completions: list[Any], **_: Any) -> list[float | None]:
    """Pay nothing: TRL asks for a reward, and the advantages are known already."""
    return [0.0] * len(completions)


def train_off_policy(
    policy: LoadedPolicy,
    rollouts: Sequence[Rollout],
    advantages: Sequence[float],
    *,
    config: OffPolicyConfig,
    run: TrainerRun,
) -> Ran:
    """Train a policy in place on logged episodes.

    Args:
        policy: Trained in place.
        rollouts: Logged episodes with the log-probabilities of the policy that acted.
        advantages: How much better than expected each went.
        config: The recipe.
        run: Where it writes, what it tells and when it stops.

    Returns:
        How far it came, and what TRL logged a step; `cispo_clip_ratio` is the share of tokens
        whose weight was cut off.

    Source: MiniMax 2025, https://arxiv.org/abs/2506.13585, equation 4 (CISPO); truncation of
        importance weights as in Ionides 2008, https://doi.org/10.1198/106186008X320456.
    """
    settings = TrlGrpoConfig(
        **{**trainer_arguments(run, policy.model.device.type), "logging_steps": 1},
        per_device_train_batch_size=_share(config.batch_size, run.processes),
        gradient_accumulation_steps=1,
        num_generations=2,  # nothing is generated; TRL wants batches that this divides
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        temperature=1.0,
        loss_type="cispo",
        epsilon_high=config.clip,
        beta=0.0,
        remove_unused_columns=False,
    )
    trainer = LoggedTrainer(
        model=policy.model,
        reward_funcs=_paid,
        args=settings,
        train_dataset=Dataset.from_dict(
            {"prompt": [""] * len(rollouts), "row": list(range(len(rollouts)))}
        ),
        processing_class=policy.tokenizer,
    )
    trainer.rollouts, trainer.worth = rollouts, advantages
    trainer.rows_at_once = -(-_share(config.batch_size, run.processes) // run.parts)
    return run_trainer(trainer, run)


def _share(batch_size: int, processes: int) -> int:
    """Give a process's share of a batch: an even number, which TRL wants."""
    share = -(-batch_size // processes)
    return share + share % 2


def importance_weights(policy: LoadedPolicy, rollouts: Sequence[Rollout]) -> Floats:
    """Say how likely the policy is to act as each logged episode did, against who acted then.

    Returns:
        Shape (episodes,): the geometric mean of the weights of the agent's tokens. The product
        would say of any long episode that it never happens.
    """
    found = np.ones(len(rollouts))
    order = sorted(range(len(rollouts)), key=lambda i: len(rollouts[i].completion_ids))
    was_training = policy.model.training
    policy.model.eval()
    with torch.inference_mode():
        most = at_once(policy.model, rollouts)
        for begin in range(0, len(order), most):
            part = order[begin : begin + most]
            now = token_logprobs(policy.model, [rollouts[i] for i in part]).double().cpu().numpy()
            for row, place in enumerate(part):
                one = rollouts[place]
                spoken = np.array(one.agent_mask, bool)
                change = now[row, : len(spoken)] - np.array(one.logprobs)
                found[place] = np.exp(change[spoken].mean())
    policy.model.train(was_training)
    return found


def effective_sample_size(weights: Floats) -> float:
    """Give how many episodes drawn from the policy itself would say as much.

    Source: Kong 1992, as in Liu 2001, "Monte Carlo Strategies in Scientific Computing", equation
        2.6: (sum of weights)^2 / sum of their squares.
    """
    squares = float(np.sum(weights**2))
    return float(np.sum(weights)) ** 2 / squares if squares > 0 else 0.0


def logged_rollout(
    conversation: Conversation,
    token_ids: Sequence[int],
    logprobs: Sequence[float],
    tokenizer: PreTrainedTokenizerBase,
) -> Rollout | None:
    """Put the tokens that were sampled in place of what the agent said.

    Logs have the tokens of the agent's turns strung together, with or without the end token of
    each, or those of the whole episode. Either way they must spell what was said: tokens of another
    tokenizer do not, nor do those of an agent whose words were changed after it had spoken.

    Args:
        conversation: The episode.
        token_ids: As logged.
        logprobs: One a token.
        tokenizer: The policy's, with its chat template.

    Returns:
        The episode without anything after the agent's last token; None where they do not fit.
    """
    [(text, spans)] = rendered([conversation], tokenizer)
    spans = [span for span in spans if span.start < span.stop]
    [whole] = tokenise_all([conversation], tokenizer)
    if whole.input_ids == list(token_ids):
        return _rollout(whole.input_ids, whole.agent_mask, list(logprobs))
    turns = _turns(token_ids, [text[s.start : s.stop] for s in spans], tokenizer)
    if turns is None:
        return None
    ids: list[int] = []
    mask: list[int] = []
    known: list[float] = []
    done = used = 0
    for number, (span, turn) in enumerate(zip(spans, turns, strict=True)):
        between = _ids(text[done : span.start], tokenizer)
        said = text[span.start : span.stop]
        ended = tokenizer.decode(turn) == said
        unsaid = [] if ended or number + 1 == len(turns) else [int(tokenizer.eos_token_id)]
        ids += [*between, *turn, *unsaid]
        mask += [0] * len(between) + [1] * len(turn) + [0] * len(unsaid)
        own = list(logprobs[used : used + len(turn)])
        known += [0.0] * len(between) + own + [0.0] * len(unsaid)
        done, used = span.stop, used + len(turn)
    return _rollout(ids, mask, known)


def _rollout(ids: list[int], mask: list[int], logprobs: list[float]) -> Rollout | None:
    """Cut an episode where the agent first speaks, and after its last token."""
    spoken = [place for place, own in enumerate(mask) if own]
    if not spoken or spoken[0] == 0:
        return None
    first, last = spoken[0], spoken[-1] + 1
    known = [p if own else 0.0 for p, own in zip(logprobs, mask, strict=True)]
    return Rollout(
        scenario_id="", attempt=0, messages=[], reward=None, turns=0, tool_calls=0, tool_errors=0,
        prompt_ids=ids[:first], completion_ids=ids[first:last], agent_mask=mask[first:last],
        logprobs=known[first:last],
    )  # fmt: skip


def _turns(
    token_ids: Sequence[int], said: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> list[list[int]] | None:
    """Part the sampled tokens into turns; None where they do not spell what was said."""
    end, mark = int(tokenizer.eos_token_id), str(tokenizer.eos_token)
    turns: list[list[int]] = []
    if end in token_ids:
        begin = 0
        for place, token in enumerate(token_ids):
            if token == end:
                turns.append(list(token_ids[begin : place + 1]))
                begin = place + 1
        if begin < len(token_ids):
            turns.append(list(token_ids[begin:]))
    else:  # without end tokens turns part where the words of each are over
        rest = list(token_ids)
        for text in said:
            length = len(_ids(text.removesuffix(mark), tokenizer)) if len(said) > 1 else len(rest)
            turns.append(rest[:length])
            rest = rest[length:]
        turns += [rest] if rest else []
    if len(turns) != len(said):
        return None
    for turn, text in zip(turns, said, strict=True):
        if not turn or tokenizer.decode(turn) not in (text, text.removesuffix(mark)):
            return None
    return turns


def _ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []
