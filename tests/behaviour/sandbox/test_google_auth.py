"""google-auth as a witness of kind ``google-service-account``: it signs the same claims, for the sandbox, too."""

import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import jwt
import pytest

from tests.behaviour.readers.programs import needs_package, run
from tests.fakes import literal
from tests.providers.live import LiveRuntime
from tests.sandbox.player import Play, play
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.providers.google_service_account import GoogleServiceAccount

__all__ = ["play"]

GOOGLE = "https://oauth2.googleapis.com/token"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform", "email"]
# Prints the assertion, and the token that it gets at the key's token_uri.
PROGRAM = """
import json, sys
from google.auth.transport.requests import Request
from google.oauth2 import service_account

path, wanted = sys.argv[1], json.loads(sys.argv[2])
if "audience" in wanted:
    found = service_account.IDTokenCredentials.from_service_account_file(path, target_audience=wanted["audience"])
else:
    found = service_account.Credentials.from_service_account_file(
        path, scopes=wanted["scope"], subject=wanted.get("subject"))
assertion = found._make_authorization_grant_assertion()
if isinstance(assertion, bytes):
    assertion = assertion.decode()
found.refresh(Request())
print(json.dumps({"assertion": assertion, "token": found.token}))
"""


class Recording(LiveRuntime):
    """A runtime that keeps the request and answers it with a token."""

    sent: UpstreamRequest

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        self.sent = request
        body = json.dumps({"access_token": "fake", "id_token": "fake"}).encode()
        return UpstreamReply(200, {}, body, self.clock.instant(), None, 0.0)


def own(key: str, wanted: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the header and the claims that tokend signs."""
    settings = GoogleServiceAccount.model_validate({"key": literal(key), **wanted})
    runtime = Recording(settings, unix=time.time())
    anyio.run(settings.fetch, runtime, None)
    assert runtime.sent.url == GOOGLE
    return read(parse_qs(runtime.sent.body.decode())["assertion"][0])


def read(assertion: str) -> tuple[Any, dict[str, Any]]:
    return jwt.get_unverified_header(assertion), jwt.decode(assertion, options={"verify_signature": False})


@pytest.mark.parametrize(
    "wanted",
    [{"scope": SCOPES}, {"scope": SCOPES, "subject": "person@example.com"}, {"audience": "https://service.example"}],
    ids=["access token", "for a person", "id token"],
)
def test_google_auth_signs_the_same_claims(play: Play, tmp_path: Path, wanted: dict[str, Any]) -> None:
    """Header and claims are equal but for the second of the signature. The sandbox has a token for google-auth."""
    needs_package("google", "google.auth", "requests")
    key = play().call("GET", "/google/key.json").json
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    out = json.loads(run(sys.executable, "-W", "ignore", "-c", PROGRAM, str(path), json.dumps(wanted), NO_PROXY="*"))
    assert out["token"].startswith("eyJ" if "audience" in wanted else "ya29.")
    header, claims = own(json.dumps({**key, "token_uri": GOOGLE}), wanted)
    other_header, other = read(out["assertion"])
    assert header == other_header
    assert claims["exp"] - claims["iat"] == other["exp"] - other["iat"] == 3600
    assert claims.pop("iat") == pytest.approx(other.pop("iat"), abs=60)
    assert claims.pop("exp") == pytest.approx(other.pop("exp"), abs=60)
    assert claims == other
