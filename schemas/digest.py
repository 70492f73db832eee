"""Names made of content: the digest that ids, versions and transactions are written with."""

from __future__ import annotations

from hashlib import sha256


def digest(said: str | bytes, length: int = 64) -> str:
    """Give the first `length` hexadecimal digits of the sha256 of bytes, or of a text as UTF-8."""
    content = said.encode() if isinstance(said, str) else said
    return sha256(content).hexdigest()[:length]
