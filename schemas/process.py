"""What a step is worth by itself, whatever became of the episode: process rewards.

The outcome, at 1, decides; these break ties between ways to it. A call that works earns nothing by
itself: paid calls would teach the agent to make more of them.
"""

MALFORMED = -0.2
"""Reward of a call whose arguments are no JSON object: the tool cannot even refuse it."""
TOOL_ERROR = -0.1
"""Reward of a call that the tool answered with an error: half of that, as an error can teach."""
REPEAT = -0.1
"""Reward of a step that makes the very calls of an earlier one: it costs what a failed call does,
and teaches less."""
NO_NEWS = -0.02
"""Reward of a step that was told only what it had been told before. Small, for a write that is
acknowledged like the one before it looks the same. It is not charged on top of another fault,
whose consequence it is: the same calls get the same results."""
PROGRESS = 0.2
"""Reward of a whole rise of the logged reward, from 0 to 1: what the gravest fault costs, so that
the outcome still decides. What a call may earn is this, and it is paid once however many calls it
takes."""
