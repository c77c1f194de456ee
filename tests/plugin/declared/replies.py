"""Replies for the tests of declared parts."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tokend.plugin.declared.answer import Answer
from tokend.plugin.http_exchange import UpstreamReply
from tokend.values.instant import Instant


def answer(
    content: Any = None,
    status: int = 200,
    cookies: tuple[str, ...] = (),
    date: datetime | None = None,
    repeated: Iterable[str] = (),
    **headers: str,
) -> Answer:
    """An answer with this JSON, or these bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    now = Instant(datetime(2026, 1, 1, tzinfo=UTC), 0.0)
    reply = UpstreamReply(status, named, body, now, date, 0.0, cookies, frozenset(repeated))
    return Answer(reply, "store.example:443")
