"""Token ids with a mask of what the agent itself said: the only tokens a loss may touch.

The agent's text is where the chat template marks it with `{% generation %}`; a template without
marks is rendered up to each of the agent's messages and up to its end, and what lies between is the
agent's. Tokens never cross from one to the other: where a tokenizer would merge over the border,
both sides are tokenised alone, as they are when the policy plays.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from jinja2 import TemplateError
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

Chat = list[dict[str, Any]]
"""Messages as `models.chat.to_chat` gives them."""

_MARKED = re.compile(r"\{%-?\s*generation\s*-?%\}")


class Masked(msgspec.Struct, frozen=True):
    """A tokenised conversation."""

    input_ids: list[int]
    agent_mask: list[int]
    """1 for each token the agent produced: content, calls and end tokens; else 0."""


class Conversation(msgspec.Struct, frozen=True):
    """A conversation to train on."""

    chat: Chat
    tools: str | None = None
    """Tool schemas as JSON text, as logged, for templates that show them."""
    train_on: Sequence[bool] = ()
    """Which messages the loss covers; of others than the agent's it says nothing. Empty for all."""


class Span(NamedTuple):
    """Where one of the agent's messages stands in a rendered text, in characters."""

    start: int
    stop: int
    message: int
    """Its place in the conversation."""


def tokenise(
    chats: Sequence[Chat], tokenizer: PreTrainedTokenizerBase, tools: str | None = None
) -> list[Masked]:
    """Render conversations that share their tools, and mask all of the agent's tokens.

    Args:
        chats: Messages as `models.chat.to_chat` gives them.
        tokenizer: With its chat template.
        tools: Tool schemas as JSON text, as logged.
    """
    return tokenise_all([Conversation(chat, tools) for chat in chats], tokenizer)


def tokenise_all(
    conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase
) -> list[Masked]:
    """Render conversations through the chat template and mask the agent's tokens.

    Raises:
        ValueError: `train_on` is not as long as its messages; or the template does not mark what
            the agent says, and changes it when later messages come.
    """
    if not conversations:
        return []
    written = rendered(conversations, tokenizer)
    batch = tokenizer([text for text, _ in written], add_special_tokens=False)
    rows = []
    both = zip(batch.encodings, conversations, written, strict=True)
    for encoding, conversation, (text, spans) in both:
        kept = _kept(spans, conversation)
        mask = _mask(encoding, kept)
        if mask is None:
            rows.append(_piecewise(text, kept, tokenizer))
        else:
            rows.append(Masked(list(encoding.ids), mask))
    return rows


def rendered(
    conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase
) -> list[tuple[str, list[Span]]]:
    """Render each conversation to its text, with where the agent's messages stand in it."""
    by_tools: dict[str | None, list[int]] = defaultdict(list)
    for number, conversation in enumerate(conversations):
        by_tools[conversation.tools].append(number)
    found: list[tuple[str, list[Span]]] = [("", [])] * len(conversations)
    for tools, numbers in by_tools.items():
        marked = bool(_MARKED.search(str(tokenizer.get_chat_template(tools=_schemas(tools)))))
        chats = [conversations[number].chat for number in numbers]
        texts, marks = _render(chats, tools, tokenizer, marks=marked)
        for place, number in enumerate(numbers):
            own = agents(chats[place])
            if marked and len(marks[place]) == len(own):
                spans = [Span(*mark, at) for mark, at in zip(marks[place], own, strict=True)]
            else:
                spans = spans_by_prefix(conversations[number], texts[place], tokenizer)
            end = tokenizer.eos_token
            found[number] = texts[place], [_to_the_end(s, texts[place], end) for s in spans]
    return found


def render_prefix(
    conversation: Conversation,
    count: int,
    tokenizer: PreTrainedTokenizerBase,
    *,
    opened: bool = False,
) -> str | None:
    """Render the first messages of a conversation.

    Args:
        conversation: The whole.
        count: How many messages of it.
        tokenizer: With its chat template.
        opened: Whether the head of an answer follows, as when the policy is asked for one.

    Returns:
        The text; None if the template refuses such a beginning (some want a user's message).
    """
    if count == 0 and not opened:
        return ""
    try:
        texts, _ = _render(
            [conversation.chat[:count]], conversation.tools, tokenizer, opened=opened
        )
    except (TemplateError, IndexError):
        return None
    return texts[0]


def agents(chat: Chat) -> list[int]:
    """Give the places of the agent's messages."""
    return [place for place, message in enumerate(chat) if message["role"] == "assistant"]


def spans_by_prefix(
    conversation: Conversation, text: str, tokenizer: PreTrainedTokenizerBase
) -> list[Span]:
    """Find the agent's messages without marks, by what each adds to the text before it.

    Raises:
        ValueError: The template changes what was said when later messages come.
    """
    spans = []
    for place in agents(conversation.chat):
        before = render_prefix(conversation, place, tokenizer, opened=True)
        after = render_prefix(conversation, place + 1, tokenizer)
        if before is None or after is None or not after.startswith(before):
            raise ValueError("the chat template does not show where the agent's messages begin")
        if not text.startswith(after):
            raise ValueError("the chat template changes a message when later ones come")
        spans.append(Span(len(before), len(after), place))
    return spans


def _render(
    chats: list[Chat],
    tools: str | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    marks: bool = False,
    opened: bool = False,
) -> tuple[list[str], list[list[tuple[int, int]]]]:
    schemas: Any = _schemas(tools)
    names: dict[str, Any] = {**tokenizer.special_tokens_map}
    made: Any = render_jinja_template(
        conversations=chats, tools=schemas, return_assistant_tokens_mask=marks,
        chat_template=tokenizer.get_chat_template(tools=schemas), add_generation_prompt=opened,
        **names,
    )  # fmt: skip
    texts, indices = made
    return texts, indices


def _schemas(tools: str | None) -> list[dict[str, Any]] | None:
    """Decode logged tool schemas; templates take objects alone."""
    logged = json.loads(tools) if tools else None
    listed = logged if isinstance(logged, list) else [logged]
    return [one for one in listed if isinstance(one, dict)] or None


def _to_the_end(span: Span, text: str, end: Any) -> Span:
    """Leave out what a template writes after the token that ends the turn."""
    found = text.rfind(str(end), span.start, span.stop) if end else -1
    if found < 0 or text[found + len(str(end)) : span.stop].strip():
        return span
    return span._replace(stop=found + len(str(end)))


def _kept(spans: list[Span], conversation: Conversation) -> list[tuple[int, int, bool]]:
    """Say of each span that is not empty whether it is trained on."""
    chosen, count = conversation.train_on, len(conversation.chat)
    if chosen and len(chosen) != count:
        raise ValueError(f"train_on names {len(chosen)} messages of {count}")
    return [
        (s.start, s.stop, not chosen or bool(chosen[s.message])) for s in spans if s.start < s.stop
    ]


def _mask(encoding: Any, spans: list[tuple[int, int, bool]]) -> list[int] | None:
    """Mask the tokens of spans; None if a token crosses a border."""
    mask = [0] * len(encoding.ids)
    for start, stop, trained in spans:
        first, last = encoding.char_to_token(start), encoding.char_to_token(stop - 1)
        if first is None or last is None:
            return None
        # Of a character made of several tokens only one is named.
        while first > 0 and _edges(encoding, first - 1)[1] > start:
            first -= 1
        while last + 1 < len(mask) and _edges(encoding, last + 1)[0] < stop:
            last += 1
        if _edges(encoding, first)[0] != start or _edges(encoding, last)[1] != stop:
            return None
        if trained:
            mask[first : last + 1] = [1] * (last + 1 - first)
    return mask


def _edges(encoding: Any, token: int) -> tuple[int, int]:
    """Give the characters that a token covers."""
    edges: tuple[int, int] | None = encoding.token_to_chars(token)
    return edges or (-1, -1)


def _piecewise(
    text: str, spans: list[tuple[int, int, bool]], tokenizer: PreTrainedTokenizerBase
) -> Masked:
    """Tokenise what the agent said, and what stands between, each alone."""
    pieces: list[tuple[str, bool]] = []
    done = 0
    for start, stop, trained in spans:
        pieces += [(text[done:start], False), (text[start:stop], trained)]
        done = stop
    pieces.append((text[done:], False))
    ids: list[int] = []
    mask: list[int] = []
    for piece, trained in pieces:
        more = tokenizer(piece, add_special_tokens=False)["input_ids"] if piece else []
        ids += more
        mask += [int(trained)] * len(more)
    return Masked(ids, mask)
