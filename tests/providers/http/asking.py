"""One attempt of kind ``http`` at a server that follows a script, and what that server was asked."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tests.providers.live import NOW, at, attempt, failed, succeeded
from tests.upstream.loopback import Behaviour, Loopback, raw, reply
from tokend.plugin.declared.token_members import members
from tokend.providers.http.kind import Http
from tokend.values.errors import AttemptError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

TOKEN = "obviously-fake-access-token"
OLD = "obviously-fake-older-token"
TABLE: Mapping[str, Any] = {
    "kind": "http",
    "secrets": {"key": {"env": "API_KEY"}, "secret": {"env": "API_SECRET"}},
    "answer": {"token": "token", "expires_in": "life"},
}


def said(status: int = 200, /, headers: Mapping[str, str] | None = None, **body: Any) -> Behaviour:
    """Return a JSON reply."""
    return reply(json.dumps(body).encode(), status=status, headers=headers)


def granted(**more: Any) -> Behaviour:
    """Return a usual grant; None removes a member."""
    whole = {"token": TOKEN, "life": 3600, **more}
    return said(**{key: value for key, value in whole.items() if value is not None})


def with_lines(*lines: str, body: bytes = b"{}") -> Behaviour:
    """Return a reply with these lines of header, of which several may have one name."""
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *lines]
    return raw("\r\n".join([*head, "", ""]).encode() + body)


def held(*, life: float | None = 600, **extra: Any) -> Token:
    """Return a token that is held, of a request five minutes ago."""
    ends = None if life is None else at(NOW + life)
    headers = {"Authorization": Secret(f"Bearer {OLD}")}
    return Token(Secret(OLD), "Bearer", at(NOW - 300), ends, headers, members(extra, {}))


def settings(origin: str = "https://api.example", **keys: Any) -> Http:
    """Return settings of a POST with a key, as a configuration has them. A key None is left out."""
    request = {"method": "POST", "url": "/token", "json": {"key": "{key}"}, **keys.pop("request", {})}
    whole = {**TABLE, "request": request, **keys}
    if whole.get("renew") is not None:
        whole["renew"] = {"method": "GET", "url": "/renew", "headers": {"X-Old": "{token}"}, **whole["renew"]}
    for name in ("request", "renew"):
        if whole.get(name) is not None and whole[name]["url"].startswith("/"):
            whole[name] = {**whole[name], "url": f"{origin}{whole[name]['url']}"}
    for name in ("request", "renew", "answer"):
        if whole.get(name) is not None:
            whole[name] = {key: value for key, value in whole[name].items() if value is not None}
    return Http.model_validate({key: value for key, value in whole.items() if value is not None})


def ask(*script: Behaviour, **keys: Any) -> tuple[Token | AttemptError, Loopback]:
    """Make one attempt. ``previous`` is the token held."""
    runtime, previous = keys.pop("runtime", None), keys.pop("previous", None)
    return attempt(lambda url: settings(url, **keys), *script, runtime=runtime, previous=previous)


def token_of(*script: Behaviour, **keys: Any) -> Token:
    """Return the token of an attempt that succeeds."""
    return succeeded(ask(*script, **keys)[0])


def error_of(*script: Behaviour, **keys: Any) -> AttemptError:
    """Return the error of an attempt that fails. It quotes nothing that was planted."""
    return failed(ask(*script, **keys)[0])


def faults_of(**keys: Any) -> dict[str, str]:
    """Return what is wrong with a table: the messages by the dotted path of their keys."""
    try:
        settings(**keys)
    except ValidationError as error:
        return {".".join(map(str, one["loc"])): one["msg"] for one in error.errors()}
    return {}
