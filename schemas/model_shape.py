"""The shape of a language model: the sizes that its memory and its arithmetic follow from."""

from __future__ import annotations

import msgspec


class ModelShape(msgspec.Struct, frozen=True):
    """Counts of a decoder, read from its configuration without its weights."""

    parameters: int
    """All weights; tied ones once."""
    matrices: int
    """Weights in matrices that are no look-up tables: what Muon steps."""
    adapter_rows: int
    """Inputs plus outputs of every linear layer but the head: adapter weights a unit of rank."""
    hidden: int
    """Width of the residual stream."""
    intermediate: int
    """Width of a feed-forward layer."""
    layers: int
    heads: int
    key_value_heads: int
    head_width: int
    vocabulary: int
    context: int
    """Longest sequence it was made for, tokens."""

    @property
    def queries(self) -> int:
        """Width of a layer's queries."""
        return self.heads * self.head_width

    @property
    def keys(self) -> int:
        """Width of a layer's keys, and of its values."""
        return self.key_value_heads * self.head_width
