"""Answers of the soak's upstreams, each in its vendor's words: a token, and everything that is sent and is none."""

import json
import random
from collections.abc import Callable, Mapping

from tests.soak.plan import Provider


def http(status: int, body: bytes, *headers: str) -> bytes:
    """A whole answer."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}"))
    return head.encode() + b"Connection: close\r\n\r\n" + body


def _json(**answer: object) -> bytes:
    return http(200, json.dumps(answer).encode(), "Content-Type: application/json")


def _projectx(**answer: object) -> bytes:
    return _json(**{"success": True, "errorCode": 0, **answer})


def _tt(**answer: object) -> bytes:
    return _json(**{"status": "Ok", "token_type": "bearer", "seconds_until_expiry": 60, **answer})


def _link(**data: object) -> bytes:
    return _json(status="success", data={"loginLink": "http://127.0.0.1/login", **data})


# A fresh token, whose own end is the earliest that is said.
TOKEN: Mapping[str, Callable[[Provider, str], bytes]] = {
    "projectx": lambda _, text: _projectx(token=text),
    # Counted in whole seconds from when it was asked for: rounded up as the vendor does, and one for the way here.
    "tt": lambda provider, text: _tt(access_token=text, seconds_until_expiry=provider.life_seconds + 1),
    "auth-token": lambda _, text: _link(token=text),
}
REVOKED = _projectx(success=False, errorCode=3, token=None)

_ANYWHERE: Mapping[str, bytes] = {
    "500": http(500, b"<h1>Internal Server Error</h1>"),
    "502": http(502, b""),
    "503": http(503, b"{}"),
    "400 of a proxy": http(400, b"Bad Request"),
    "403 without a meaning": http(403, b"<h1>Forbidden</h1>"),
    "404": http(404, b"{}"),
    "redirect": http(302, b"", "Location: http://127.0.0.1:9/"),
    "HTML": http(200, b"<html>Please sign in to the guest network</html>"),
    "truncated JSON": http(200, b'{"success": true, "errorCode": 0, "token": "eyJ'),
    "random bytes": http(200, random.Random(1).randbytes(2000)),
    "huge": http(200, b" " * 300_000),
    "gzip": http(200, b"\x1f\x8b", "Content-Encoding: gzip"),
}


def _of_a_vendor(
    say: Callable[..., bytes], token: str, life: str, seconds: int, unknown: Mapping[str, object]
) -> Mapping[str, bytes]:
    """The same answers of any vendor, by the names of its fields; ``seconds`` are its unit of time."""
    return {
        **_ANYWHERE,
        "unknown error": _json(**unknown),
        "no token": say(**{token: ""}),
        "control characters": say(**{token: "eyJ\n\x1b[31m"}),
        "no time": say(**{token: "eyJ", life: "3600abc"}),
        "no life": say(**{token: "eyJ", life: 0}),
        "401 days": say(**{token: "eyJ", life: 401 * 86400 // seconds}),
    }


# Answers that are sent and are no token. All of them are transient: none is a refusal of the credentials.
ANSWERS: Mapping[str, Mapping[str, bytes]] = {
    "projectx": _of_a_vendor(
        _projectx, "token", "expiresIn", 60, {"success": False, "errorCode": 8, "token": None}
    ),
    "tt": _of_a_vendor(_tt, "access_token", "seconds_until_expiry", 1, {"status": "Busy"}),
    "auth-token": _of_a_vendor(_link, "token", "expiresIn", 1, {"status": "error"}),
}  # fmt: skip
