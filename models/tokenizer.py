"""A tokenizer for the tiny policy, trained on the night's own logs.

Byte-level BPE whose pieces are cut so that a small model can copy: digits stand alone, and
function words and SQL keywords take the spaces around them, so that a value or a column name is
the same token wherever it stands. The JSON around a tool call's arguments is one token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

from models.chat import CALL_CLOSE, CALL_OPEN, END, PAD, RESPONSE_TEMPLATE, ROLES, TEMPLATE

SQL_WORDS = (  # noqa: SIM905 - a list of quoted words is no easier to read
    "SELECT FROM WHERE AND OR GROUP ORDER BY DESC ASC LIMIT DATE AS IN NOT NULL BETWEEN HAVING"
    " JOIN ON"
).split()
FUNCTION_WORDS = (  # noqa: SIM905
    "the a an of in for on at to is are was that than by and or with has have it much many more"
    " most what which how who when last all no not not"
).split()

_KEYWORDS = "|".join([*SQL_WORDS, *FUNCTION_WORDS])
PIECES = (
    rf" ?\b(?:{_KEYWORDS})\b(?: (?:{_KEYWORDS})\b)* ?"  # a run of keywords with its outer spaces
    r"|\d"
    r"|[A-Za-z_]+"
    r"| ?[=<>*/+-]+ ?"
    r"|\s+"
    r"|[^\sA-Za-z0-9_]+"
)


def call_scaffolds(texts: Iterable[str]) -> list[str]:
    """Find the fixed JSON before the first argument of each tool, as rendered in the logs.

    Args:
        texts: Rendered conversations.

    Returns:
        Distinct scaffolds such as `{"name": "run_sql", "arguments": {"query": "`.
    """
    pattern = re.compile(
        re.escape(CALL_OPEN) + r'(\{"name": "[\w.-]+", "arguments": \{(?:"[\w.-]+": "?|\}\}))'
    )
    found: dict[str, int] = {}
    for text in texts:
        for scaffold in pattern.findall(text):
            found[scaffold] = found.get(scaffold, 0) + 1
    return sorted(found, key=lambda s: -found[s])[:64]


def train_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer on rendered conversations.

    Args:
        texts: Conversations as the chat template renders them.
        vocabulary: Most tokens it may have.

    Returns:
        A tokenizer with the tiny policy's chat and response templates.
    """
    special = [PAD, END, *(f"<|{role}|>" for role in ROLES)]
    tags = [CALL_OPEN, CALL_CLOSE]
    scaffolds = [*call_scaffolds(texts), '"}}']
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(tags) - len(scaffolds),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    bpe.train_from_iterator(_without(texts, [*special, *tags, *scaffolds]), trainer)
    bpe.add_tokens([AddedToken(t, normalized=False, special=False) for t in [*tags, *scaffolds]])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.response_template = json.loads(json.dumps(RESPONSE_TEMPLATE))
    return tokenizer


def _without(texts: Iterable[str], tokens: list[str]) -> Iterator[str]:
    """Yield the texts between tokens that are given, so that no merge is spent on them."""
    cut = re.compile("|".join(re.escape(t) for t in sorted(tokens, key=len, reverse=True)))
    for text in texts:
        yield from (piece for piece in cut.split(text) if piece)


def render(chats: list[list[dict[str, Any]]], template: str) -> list[str]:
    """Render conversations to text, all at once."""
    rendered: Any = render_jinja_template(conversations=chats, chat_template=template)[0]
    texts: list[str] = rendered  # annotated upstream as one text
    return texts
