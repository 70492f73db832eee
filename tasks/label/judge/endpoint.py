"""An OpenAI-compatible chat-completions endpoint that is asked for scores.

Whatever it does, the night goes on: a question that gets no usable answer says why, and after
three in a row that got none the endpoint is asked no more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Self

import httpx
import msgspec

from schemas.errors import ConfigurationError
from schemas.label_config import JudgeConfig
from tasks.label.judge.question import messages, scores_in

KEY_VARIABLE = "FLYWHEEL_JUDGE_API_KEY"
GIVE_UP_AFTER = 3
"""Questions in a row without an answer, each with its retries, after which none is asked."""
BACKOFF_S = 0.25
"""Seconds before the first retry; each later one waits twice as long, up to `MAX_WAIT_S`."""
MAX_WAIT_S = 60.0
"""Most seconds to wait before a retry, also where `Retry-After` asks for more."""
MAX_BYTES = 4_000_000
"""Most bytes of an answer: scores need a hundred, and some models think aloud before them."""
_OWN_FAULT = {408, 409, 429}
"""Client errors that pass: a time-out, a conflict, too many requests. All of 5xx do, too."""
_WISHES = {"temperature": 0, "response_format": {"type": "json_object"}}
"""What some endpoints refuse to be told; they are asked without it then."""


class Reply(NamedTuple):
    """What came of one question."""

    scores: list[float] | None
    """One for each text, in its order; None where there is no usable answer."""
    reason: str
    """Why there is none."""
    sent: int
    """Requests made, retries included."""
    tokens: int
    """Tokens the endpoint says it used; 0 where it does not say."""


class _Heard(NamedTuple):
    """What one request brought."""

    status: int
    """HTTP status; 0 where none came."""
    body: bytes
    wait: float
    """Seconds that the endpoint asks to be left alone."""
    reason: str
    """What went wrong, where it did."""
    told: dict[str, Any]
    """Those of the wishes that it was told."""

    @property
    def passes(self) -> bool:
        """Say whether the same request may well succeed later."""
        return self.status == 0 or self.status in _OWN_FAULT or self.status >= 500


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Usage(msgspec.Struct):
    total_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class Endpoint:
    """Asks one endpoint; several threads may use it. Close it after use.

    Args:
        config: Its address and model, how long to wait and how often to try again.

    Raises:
        ConfigurationError: It has no address or model, or the key cannot be sent.
    """

    def __init__(self, config: JudgeConfig) -> None:
        self.model, address = required(config)
        self.stopped: str | None = None
        """Why it is asked no more."""
        self.halted = threading.Event()
        """Set to end all waiting: somebody wants to stop."""
        self._url = address.rstrip("/") + "/chat/completions"
        self._config = config
        self._lock = threading.Lock()
        self._unanswered = 0
        self._resume_at = 0.0
        self._wishes: dict[str, Any] = dict(_WISHES)
        self._client = httpx.Client(
            headers=_authorization(),
            timeout=config.timeout_s,
            limits=httpx.Limits(max_connections=config.parallel),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.halted.set()
        self._client.close()

    def ask(self, texts: Sequence[str], spend: Callable[[], bool]) -> Reply:
        """Ask for the scores of some attempts, in the order given.

        Args:
            texts: The attempts as they are shown.
            spend: Takes one more request out of the budget, for a retry; says whether it could.
        """
        asked = messages(texts)
        sent, tries = 0, 0
        while True:
            heard = self._post(asked)
            sent += 1
            if heard.status == 200:
                self._count(None)
                return _read(heard.body, len(texts), sent)
            refused = self._refused_wish(heard)
            again = refused or (heard.passes and tries < self._config.retries)
            if not again or self.halted.is_set() or not spend():
                self._count(heard.reason)
                return Reply(None, heard.reason, sent, 0)
            if not refused:
                self.halted.wait(min(BACKOFF_S * 2**tries, MAX_WAIT_S))
                tries += 1

    def _post(self, asked: list[dict[str, str]]) -> _Heard:
        """Make one request, once the endpoint may be asked again."""
        self.halted.wait(max(self._resume_at - time.monotonic(), 0))
        told = self._wishes
        body = {"model": self.model, "messages": asked, **told}
        try:
            status, headers, answer = self._send(body)
        except httpx.TimeoutException:
            seconds = f"{self._config.timeout_s:g} s"
            return _Heard(0, b"", 0, f"the endpoint did not answer within {seconds}", told)
        except httpx.RequestError as error:
            reason = f"the endpoint cannot be reached ({type(error).__name__})"
            return _Heard(0, b"", 0, reason, told)
        wait = min(_retry_after(headers), MAX_WAIT_S)
        with self._lock:
            self._resume_at = max(self._resume_at, time.monotonic() + wait)
        return _Heard(status, answer, wait, _reason(status), told)

    def _send(self, body: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        """Send a request and read all that comes, in the time and up to the size allowed.

        httpx limits how long each read may last, not how long they all may.

        Raises:
            httpx.RequestError: No whole answer came.
        """
        deadline = time.monotonic() + self._config.timeout_s
        answer = bytearray()
        with self._client.stream("POST", self._url, json=body) as response:
            for piece in response.iter_bytes():
                answer += piece
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the whole answer took too long")
                if len(answer) > MAX_BYTES:
                    raise httpx.ReadError("the answer does not end")
            return response.status_code, response.headers, bytes(answer)

    def _refused_wish(self, heard: _Heard) -> bool:
        """Leave out from now on what the endpoint says it cannot be told; say whether it did."""
        if heard.status not in {400, 422}:
            return False
        complaint = heard.body[:1000].decode(errors="replace")
        refused = [name for name in heard.told if name in complaint]
        with self._lock:
            self._wishes = {k: v for k, v in self._wishes.items() if k not in refused}
        return bool(refused)

    def _count(self, failure: str | None) -> None:
        """Count questions in a row without an answer, and stop after too many."""
        with self._lock:
            self._unanswered = self._unanswered + 1 if failure else 0
            if failure and self._unanswered >= GIVE_UP_AFTER:
                self.stopped = self.stopped or failure


def required(config: JudgeConfig) -> tuple[str, str]:
    """Give the model and the address.

    Raises:
        ConfigurationError: One is missing, or the address is none.
    """
    if not config.base_url or not config.model:
        missing = "model" if config.base_url else "base_url"
        raise ConfigurationError(
            f"label.judge.use is 'endpoint' and label.judge.{missing} is not set.",
            f"Set label.judge.{missing}, or `use: rules`.",
        )
    try:
        url = httpx.URL(config.base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError(
            "label.judge.base_url is no address.",
            "Give one such as https://api.example.com/v1.",
        )
    return config.model, config.base_url


def _authorization() -> dict[str, str]:
    """Give the header with the key, if there is one.

    Raises:
        ConfigurationError: No header can hold it.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            f"{KEY_VARIABLE} holds characters that no key has.", "Set it to the endpoint's key."
        )
    return {"Authorization": f"Bearer {key}"} if key else {}


def _read(body: bytes, count: int, sent: int) -> Reply:
    """Read scores and tokens of an answer."""
    try:
        found = msgspec.json.decode(body, type=_Completion)
    except (msgspec.DecodeError, RecursionError):
        return Reply(None, "the endpoint's answer is no chat completion", sent, 0)
    tokens = (found.usage.total_tokens or 0) if found.usage else 0
    content = found.choices[0].message.content if found.choices else None
    scores = scores_in(content or "", count)
    if isinstance(scores, str):
        return Reply(None, scores, sent, tokens)
    return Reply(scores, "", sent, tokens)


def _reason(status: int) -> str:
    """Say what a status means here; what the body says is left out, it may quote episodes."""
    if status in {401, 403}:
        return f"HTTP {status}: the endpoint refuses the key, see {KEY_VARIABLE}"
    if status == 404:
        return f"HTTP {status}: see label.judge.base_url and label.judge.model"
    return f"HTTP {status}"


def _retry_after(headers: httpx.Headers) -> float:
    """Give the seconds that `Retry-After` asks for, whether a number or a date; 0 without one."""
    told = headers.get("retry-after", "")
    try:
        return max(float(int(told)), 0.0)
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - datetime.now(UTC)).total_seconds(), 0.0)
