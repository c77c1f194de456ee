"""Texts with tokens, for the tests of the formats, and what is found in them."""

import base64
import json
from typing import Any

from tests.providers.live import NOW, at
from tokend.plugin.found_token import FoundToken, Source
from tokend.plugin.token_formats import Format, read_token
from tokend.values.tokens import Token

SOURCE = Source("command mint", "printed")
FORMATS: tuple[Format, ...] = ("raw", "native", "oauth", "exec-credential", "aws")
ISO = "2023-11-14T22:43:20Z"  # NOW + 1800
AWS = {"Version": 1, "AccessKeyId": "FAKE-ID", "SecretAccessKey": "fake/secret+key", "SessionToken": "fake-session"}


def part(**claims: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


def jwt(**claims: Any) -> str:
    return f"{part(alg='HS256', typ='JWT')}.{part(**claims)}.ZmFrZQ"


def found(said: Any, form: Format = "oauth", source: Source = SOURCE) -> FoundToken:
    """Read a text, or an object as JSON."""
    return read_token(said.encode() if isinstance(said, str) else json.dumps(said).encode(), form, source)


def token(said: Any, form: Format = "oauth", *, age: float = 0.0, **more: Any) -> Token:
    """Read and date a token now, whose seconds count from ``age`` seconds ago."""
    return found(said, form).token(now=at(NOW), counted_from=at(NOW - age), **more)


def exec_credential(version: str = "v1", **status: Any) -> dict[str, Any]:
    return {"apiVersion": f"client.authentication.k8s.io/{version}", "kind": "ExecCredential", "status": status}


def oauth(**more: Any) -> dict[str, Any]:
    return {"access_token": "fake-token", **more}
