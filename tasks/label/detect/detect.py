"""What the messages of a block of episodes show, one bool array for each kind of evidence."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.label_config import SignalConfig
from tasks.label.block import USER, Block, Bools
from tasks.label.detect.asking import over_asks
from tasks.label.detect.endings import ends_in_error, ends_unanswered, used_no_tool
from tasks.label.detect.phrases import heard, thanked
from tasks.label.detect.repeats import asks_again, call_codes, loops, repeats_calls
from tasks.label.detect.turns import LONGEST, Turns, changed, later_turns
from tasks.label.detect.words import COMPLAINT, CORRECTION, ESCALATION


def shown(block: Block, config: SignalConfig) -> dict[str, Bools]:
    """Say which kinds of evidence the messages of each episode show.

    An episode's evidence depends on its own messages alone, not on the others of the block.

    Args:
        block: Episodes.
        config: When something counts as evidence.

    Returns:
        For each kind that messages can show (`tasks.label.signals.KINDS`), `(episodes,)`.
    """
    turns = later_turns(block)
    code = call_codes(block)
    return said_kinds(block, turns) | {
        "reask": reasked(block, config),
        "abandoned": ends_unanswered(block, turns),
        "over_asking": over_asks(block, config),
        "final_error": ends_in_error(block),
        "loop": loops(block, code, config),
        "repeated_call": repeats_calls(block, code),
        "no_tool_evidence": used_no_tool(block),
    }


def said_kinds(block: Block, turns: Turns) -> dict[str, Bools]:
    """Say which episodes hold a correction, a complaint, a call for a person, thanks at the end."""
    spoken = {
        "correction_said": heard(turns.said, CORRECTION),
        "complaint_said": heard(turns.said, COMPLAINT),
        "escalation_said": heard(turns.said, ESCALATION),
    }
    against = np.logical_or.reduce(list(spoken.values()))
    final = np.flatnonzero(turns.last & ~against)
    content = np.zeros(len(against), dtype=bool)
    content[final] = thanked(turns.said.take(pa.array(final)))
    spoken["thanks_said"] = content
    return {kind: block.per_episode(turns.owner[says]) > 0 for kind, says in spoken.items()}


def reasked(block: Block, config: SignalConfig) -> Bools:
    """Say where a user asks the same again within the episode, `(episodes,)`."""
    user = np.flatnonzero(block.role == USER)
    # One turn of an episode repeats none: most episodes have no more.
    owner = block.owner[user]
    user = user[~(changed(owner) & np.roll(changed(owner), -1))]
    said = pc.fill_null(block.content.take(pa.array(user)), "")
    brief = pc.less_equal(pc.binary_length(said), LONGEST).to_numpy(zero_copy_only=False)
    return asks_again(block, user[brief], said.filter(pa.array(brief)), config)
