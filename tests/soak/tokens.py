"""The soak's tokens: JWTs whose signature shows a torn one, and whose claims say whose they are and when they end."""

import base64
import hmac
import json
from dataclasses import dataclass

from tests.soak.plan import SIGNING_KEY

HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


class TornError(Exception):
    """A text that is no whole token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of itself; ``expires_at`` in Unix seconds."""

    name: str
    expires_at: float


def sign(name: str, number: int, expires_at: float) -> str:
    """Make the ``number``-th token of a provider. It has about 600 characters, as real ones have."""
    payload = json.dumps({"sub": name, "jti": number, "exp": expires_at, "scope": "soak " * 50}).encode()
    body = HEADER + b"." + base64.urlsafe_b64encode(payload).rstrip(b"=")
    return (body + b"." + _signature(body)).decode()


def read(text: str) -> Claims:
    """Read a token. Raises `TornError` where a single byte of it is not as it was signed."""
    body, _, signature = text.encode("utf-8", "replace").rpartition(b".")
    if not hmac.compare_digest(signature, _signature(body)):
        raise TornError
    part = body.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    return Claims(claims["sub"], claims["exp"])


def _signature(body: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(SIGNING_KEY, body, "sha256")).rstrip(b"=")
