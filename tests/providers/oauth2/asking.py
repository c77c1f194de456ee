"""One attempt of kind ``oauth2`` at a server that follows a script, and what that server was asked."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from tests.providers.live import attempt, env, failed, succeeded
from tests.upstream.loopback import Behaviour, Loopback, Received, reply
from tokend.providers.oauth2.kind import OAuth2
from tokend.values.errors import AttemptError
from tokend.values.tokens import Token

TOKEN = "obviously-fake-access-token"
CLIENT: Mapping[str, Any] = {
    "grant": "client_credentials", "client_id": "fake-client", "client_secret": env("CLIENT_SECRET"),
}  # fmt: skip
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def said(status: int = 200, /, **body: Any) -> Behaviour:
    """Return a JSON reply."""
    return reply(json.dumps(body).encode(), status=status)


def granted(**more: Any) -> Behaviour:
    """Return a usual grant; None removes a member."""
    whole = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, **more}
    return said(**{key: value for key, value in whole.items() if value is not None})


def settings(url: str = "https://login.example/token", **keys: Any) -> OAuth2:
    """Return settings of a client with a secret, as a configuration has them. URLs may name the server by URL."""
    whole = {"token_url": url, **CLIENT, **keys}
    return OAuth2.model_validate({key: value for key, value in whole.items() if value is not None})


def ask(*script: Behaviour, **keys: Any) -> tuple[Token | AttemptError, Loopback]:
    """Make one attempt. A key None is left out."""
    runtime = keys.pop("runtime", None)
    return attempt(lambda url: settings(f"{url}/token", **keys), *script, runtime=runtime)


def token_of(*script: Behaviour, **keys: Any) -> Token:
    """Return the token of an attempt that succeeds."""
    return succeeded(ask(*script, **keys)[0])


def error_of(*script: Behaviour, **keys: Any) -> AttemptError:
    """Return the error of an attempt that fails. It quotes nothing that was planted."""
    return failed(ask(*script, **keys)[0])


def sent(**keys: Any) -> Received:
    """Return the request of an attempt."""
    outcome, loopback = ask(granted(), **keys)
    assert isinstance(outcome, Token), outcome
    (request,) = loopback.requests
    return request


def form(request: Received) -> dict[str, str]:
    """Return the parameters of a form, each once."""
    pairs = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def basic(request: Received) -> str:
    """Return the pair of the header Authorization."""
    scheme, _, encoded = request.headers["authorization"].partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(encoded, validate=True).decode()


def faults_of(**keys: Any) -> dict[str, str]:
    """Return the faults of settings by the path of their key."""
    try:
        settings(**keys)
    except ValidationError as error:
        return {".".join(map(str, one["loc"])): one["msg"].removeprefix("Value error, ") for one in error.errors()}
    return {}
