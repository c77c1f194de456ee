"""A lease to write, and sinks as a configuration would make them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokend.kinds import SINKS
from tokend.sinks.files.base import FileSink
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

ISSUED = Instant(datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC), 1234.567)
# A JWT in shape, a fake in content: bare in every .env style.
PLANTED = "eyJhbGciOiJIUzI1NiJ9.eyJmYWtlIjoicGxhbnRlZCJ9.planted_fake-signature"


def lease(
    value: str = PLANTED, *, name: str = "tt", life_seconds: float | None = 86_400.0, generation: int = 7
) -> Lease:
    """A lease of a token with this value; a life of None is without end."""
    token = Token(
        value=Secret(value),
        token_type="bearer",
        issued_at=ISSUED,
        expires_at=None if life_seconds is None else ISSUED.after(life_seconds),
        headers={"Authorization": Secret(f"Bearer {value}"), "x-api-key": Secret("planted-fake-api-key")},
    )
    return Lease(name, token, generation, ISSUED.after(60.0), "0123456789ab")


def sink(kind: str, path: Path, **keys: Any) -> FileSink:
    """A sink of that kind, from its TOML keys."""
    made = SINKS.all()[kind].model_validate(
        {"kind": kind, "path": str(path), **keys}, context={"directory": "/nowhere"}
    )
    assert isinstance(made, FileSink)
    return made
