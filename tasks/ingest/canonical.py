"""The canonical shape of a chat record: what OpenAI's API has, and what gateways set beside it.

A record that has exactly this shape is decoded and checked here in one go; one that has not is left
to its importer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import msgspec
import pyarrow as pa

from tasks.ingest.dialects.times import parse_time
from tasks.ingest.dialects.values import json_text, unknown
from tasks.ingest.reading.records import Bytes

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What a column of 64-bit numbers holds; others are for the importer to refuse."""


class WireFunction(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The `function` of a call."""

    name: str
    arguments: str


class WireCall(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A call of a tool."""

    function: WireFunction
    id: str | None = None
    type: Literal["function"] = "function"


class Bare(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="role"):
    """A message with a text or none, and nothing that its role mostly has not: quickly decoded."""

    content: str | None = None
    role: ClassVar[str]
    name: ClassVar[str | None] = None
    reasoning_content: ClassVar[str | None] = None


class Told(Bare, gc=False, forbid_unknown_fields=True, tag="system"):
    """A message of the system."""

    role = "system"
    tool_calls: ClassVar[list[WireCall] | None] = None
    tool_call_id: ClassVar[str | None] = None


class Asked(Bare, gc=False, forbid_unknown_fields=True, tag="user"):
    """A message of the user."""

    role = "user"
    tool_calls: ClassVar[list[WireCall] | None] = None
    tool_call_id: ClassVar[str | None] = None


class Answered(Bare, gc=False, forbid_unknown_fields=True, tag="assistant"):
    """A turn of the agent."""

    role = "assistant"
    tool_calls: list[WireCall] | None = None
    tool_call_id: ClassVar[str | None] = None


class Returned(Bare, gc=False, forbid_unknown_fields=True, tag="tool"):
    """A result of a tool."""

    role = "tool"
    tool_call_id: str | None = None
    tool_calls: ClassVar[list[WireCall] | None] = None


class WireMessage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A message with a text or none; what OpenAI sends empty may stand beside."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[WireCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None


class WireUsage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Token counts; a record with others than OpenAI's is for its importer."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: msgspec.Raw = msgspec.Raw()
    completion_tokens_details: msgspec.Raw = msgspec.Raw()


class WireRecord(msgspec.Struct, gc=False):
    """A logged episode; keys not named here are gathered apart."""

    messages: list[WireMessage]
    id: str | None = None
    tools: msgspec.Raw = msgspec.Raw()
    model: str | None = None
    policy_version: str | None = None
    agent: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    user: str | None = None
    scenario_id: str | None = None
    trial: Count | None = None
    timestamp: str | None = None
    ended_at: str | None = None
    usage: WireUsage | None = None
    cost_usd: float | None = None
    reward: float | None = None
    finish_reason: str | None = None
    parallel_tool_calls: bool | None = None
    # With one of these a record is more than its messages: its importer reads it.
    choices: None = None
    response: None = None
    error: None = None
    error_details: None = None
    created: None = None
    request: None = None


class StrictRecord(WireRecord, gc=False, forbid_unknown_fields=True):
    """A logged episode without unknown keys: the usual case, told in one go."""


class BareRecord(WireRecord, gc=False, forbid_unknown_fields=True):
    """A logged episode all of whose messages are bare."""

    messages: list[Told | Asked | Answered | Returned]  # type: ignore[assignment]  # read alike


BARE = msgspec.json.Decoder(BareRecord)
STRICT = msgspec.json.Decoder(StrictRecord)
LENIENT = msgspec.json.Decoder(WireRecord)
TOOLS = msgspec.json.Decoder(list[dict[str, Any]] | str | None)
KNOWN = frozenset(WireRecord.__struct_fields__)
NO_USAGE = WireUsage()
COUNTED = ("prompt_tokens", "completion_tokens")
"""Token counts that are columns."""


class Kept(NamedTuple):
    """A canonical record and what it says beyond its shape."""

    record: WireRecord
    times: tuple[datetime | None, datetime | None]
    tools: int
    """Which of the tool schemas that were met."""
    extra: str | None


class Schemas:
    """Tool schemas met in a block: mostly it is one, with every record again."""

    def __init__(self) -> None:
        self._numbers = {b"": 0}
        self._last = b"", 0
        self.texts: list[str | None] = [None]

    def number(self, raw: msgspec.Raw) -> int:
        """Number the schemas of a record.

        Raises:
            msgspec.ValidationError: They are none.
        """
        last, number = self._last
        # To compare with the last ones takes a tenth of what it takes to copy and hash them.
        if len(last) == memoryview(raw).nbytes and last.startswith(raw):
            return number
        logged = bytes(raw)
        if logged not in self._numbers:
            self.texts.append(json_text(TOOLS.decode(logged)))
            self._numbers[logged] = len(self.texts) - 1
        self._last = logged, self._numbers[logged]
        return self._last[1]

    def column(self, numbers: list[int]) -> pa.Array:
        """Write them out, one text a record."""
        return pa.array(self.texts, pa.string()).take(pa.array(numbers, pa.int64()))


def read_record(raw: Bytes, tools: Schemas, decoder: RecordDecoder) -> Kept:
    """Decode and check one record.

    Args:
        raw: Its bytes.
        tools: Tool schemas met before.
        decoder: Decodes the records of the block.

    Raises:
        ValueError: It is not canonical (or not good): its importer says which.
        msgspec.MsgspecError: The same.
    """
    record, extra = decoder.decode(raw)
    if not record.messages:
        raise ValueError("no messages")
    usage = record.usage
    if usage is not None and (odd_total(usage) or detailed(usage)):
        extra = with_usage(extra, msgspec.json.decode(raw)["usage"])
    times = (parse_time(record.timestamp), parse_time(record.ended_at))
    return Kept(record, times, tools.number(record.tools), extra)


def detailed(usage: WireUsage) -> bool:
    """Tell whether token counts are broken down."""
    return bool(bytes(usage.prompt_tokens_details) or bytes(usage.completion_tokens_details))


def odd_total(usage: WireUsage) -> bool:
    """Tell whether a total is not the sum of what it counts."""
    total = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
    return usage.total_tokens is not None and usage.total_tokens != total


def uncounted(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Give what token counts say beyond the columns; a total that is the sum says nothing."""
    total = sum(usage.get(name) or 0 for name in COUNTED)
    return {
        name: value
        for name, value in usage.items()
        if name not in COUNTED
        and value is not None
        and not (name == "total_tokens" and value == total)
    }


def with_usage(extra: str | None, usage: Mapping[str, Any]) -> str | None:
    """Add what token counts say beyond the columns to the unknown keys of a record."""
    if not (beyond := uncounted(usage)):
        return extra
    others = msgspec.json.decode(extra) if extra else {}
    return json_text({**others, "usage": beyond})


class RecordDecoder:
    """Decodes the records of a block, in the narrowest shape as long as that fits."""

    def __init__(self) -> None:
        self._bare = True

    def decode(self, raw: Bytes) -> tuple[WireRecord, str | None]:
        """Decode a record; unknown keys at its top are gathered as JSON text.

        Raises:
            msgspec.MsgspecError: It is not canonical.
        """
        if self._bare:
            try:
                return BARE.decode(raw), None
            except msgspec.ValidationError as error:
                if "unknown field" not in str(error):
                    raise
        try:
            record = STRICT.decode(raw)
        except msgspec.ValidationError as error:
            if "unknown field" not in str(error):
                raise
            return LENIENT.decode(raw), unknown(msgspec.json.decode(raw), KNOWN)
        # Where one has such keys, others have: to try twice costs more than to decode them.
        self._bare = False
        return record, None
