"""A key-value cache that grows in place: appending a token copies one column, not the past."""

from __future__ import annotations

from typing import Any, cast

import torch
from transformers.cache_utils import Cache, DynamicLayer

_CHUNK = 64


class GrowingLayer(DynamicLayer):
    """One layer's keys and values in buffers with room to grow, `(batch, heads, time, width)`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._used = 0
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new keys and values `(batch, heads, new, width)`; return all so far, as views."""
        end = self._used + key_states.shape[2]
        if self._room is None or end > self._room[0].shape[2]:
            self._grow(key_states, value_states, end)
        assert self._room is not None
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, self._used : end] = new
        self._used = end
        self.is_initialized = True
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        return self.keys, self.values

    def _grow(self, keys: torch.Tensor, values: torch.Tensor, end: int) -> None:
        length = (end // _CHUNK + 1) * _CHUNK
        grown = []
        for i, new in enumerate((keys, values)):
            room = new.new_empty(new.shape[0], new.shape[1], length, new.shape[3])
            if self._room is not None:
                room[:, :, : self._used] = self._room[i][:, :, : self._used]
            grown.append(room)
        self._room = (grown[0], grown[1])

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Drop every row of the batch but these."""
        if self._room is not None:
            self._room = (self._room[0][rows], self._room[1][rows])
            self.keys, self.values = (room[:, :, : self._used] for room in self._room)

    def get_seq_length(self) -> int:
        """Count the tokens held."""
        return self._used


class GrowingCache(Cache):
    """A cache of growing layers for a model with full attention in every layer."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[GrowingLayer() for _ in range(layers)])

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Drop every row of the batch but these, in every layer."""
        for layer in self.layers:
            cast(GrowingLayer, layer).keep_rows(rows)
