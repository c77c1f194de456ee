"""Tokens of answers: the value, its end, its headers and further members."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tokend.plugin.declared.placeholders import Text, Value, as_text
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.response_status import token_value
from tokend.plugin.token_expiry import MISSING, expiry, jwt_part
from tokend.providers.oauth2.answers import Answer
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.values.errors import ServerSettingsError, TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, REFRESH_IN, Token

# RFC 8693, 2.2.1: what was issued is no access token, and is sent in no header.
NOT_APPLICABLE = "N_A"
BEARER = "Bearer"
# Absolute ends, which servers give beside or instead of ``expires_in``.
_ABSOLUTE = ("expires_on", "expires_at")
_HEADER = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", re.ASCII)
AUTHORIZATION = "Authorization"


def token_of(settings: OAuth2Settings, answer: Answer, host: str) -> Token:
    """Make the token of an answer. Raises `TransientError` for one that is unusable."""
    reply, values = answer.reply, answer.values
    value = token_value(values["token"], host)
    kind = _token_type(values["token_type"], host)
    extra: dict[str, JSON | Secret] = {name: one for name, one in answer.extra.items() if one is not None}
    for name, one in answer.secret_extra.items():
        if one is not None:
            extra[name] = Secret(one if isinstance(one, str) else json.dumps(one))
    ends = _end(settings, answer, value, host)
    if (soon := _refresh_in(answer, ends)) is not None:
        extra[REFRESH_IN] = soon
    token = Token(
        value=value,
        token_type=kind,
        issued_at=reply.sent_at,
        expires_at=ends,
        extra=extra,
    )
    return _with_headers(settings, token, host)


def _with_headers(settings: OAuth2Settings, token: Token, host: str) -> Token:
    headers, missing = made_headers(settings.headers, token)
    if missing:
        raise TransientError(f"{host} answered without {missing[0]}, which headers need")
    made = {name: Secret(text) for name, text in headers.items()}
    if (odd := next((name for name, text in headers.items() if not _HEADER.fullmatch(text)), None)) is not None:
        raise TransientError(f"{host} answered with a value that {odd} cannot carry")
    return replace(token, headers=made)


def made_headers(configured: Mapping[str, str], token: Token) -> tuple[dict[str, str], list[str]]:
    """Return the headers to send with each call, in clear, and the members of the answer that they lack.

    A header that lacks something is left out. An empty text removes ``Authorization``.
    """
    values: dict[str, Value] = {"token": token.value}
    values |= {f"extra.{name}": _as_value(one) for name, one in token.extra.items()}
    texts = {} if token.token_type == NOT_APPLICABLE else {AUTHORIZATION: f"{BEARER} {{token}}"}
    for name, text in configured.items():
        for old in [old for old in texts if old.lower() == name.lower()]:
            del texts[old]
        texts[name] = text
    made, missing = {}, []
    for name, text in texts.items():
        parsed = Text.parse(text)
        if lacking := [one for one in parsed.names if one not in values]:
            missing += lacking
        elif text:
            made[name] = as_text(parsed.fill(values))
    return made, missing


def _as_value(value: "JSON | Secret") -> Value:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _token_type(value: Any, host: str) -> str:
    """Return the type as it is sent in a header. OAuth's types are compared without case."""
    if value is None or value == "":
        return BEARER
    text = token_value(value, host).reveal()
    if text.lower() == "dpop":
        raise ServerSettingsError(f"{host} answered with a token of type DPoP, which tokend does not do")
    return BEARER if text.lower() == "bearer" else text


def _end(settings: OAuth2Settings, answer: Answer, token: Secret, host: str) -> Instant | None:
    """Return the end: what the answer says, the JWT's own, ``answer.lifetime``; at most ``max_lifetime``."""
    relative, document = answer.values["expires_in"], answer.document
    absolute = MISSING
    if relative is None and settings.answer.expires_in is None and isinstance(document, dict):
        absolute = next((document[key] for key in _ABSOLUTE if document.get(key) is not None), MISSING)
    lifetime = settings.answer.lifetime
    ends = expiry(
        answer.reply,
        token,
        host=host,
        relative=MISSING if relative is None else relative,
        absolute=absolute,
        default_seconds=None if lifetime is None else lifetime.total_seconds(),
        zero_means=settings.zero_means,
    )
    if settings.max_lifetime is None:
        return ends
    latest = answer.reply.sent_at.after(settings.max_lifetime.total_seconds())
    return latest if ends is None else min(ends, latest, key=lambda one: one.boot)


def _refresh_in(answer: Answer, ends: Instant | None) -> float | None:
    """Return Azure's ``refresh_in``: when a newer token should be fetched. What is no such time is ignored."""
    said = answer.document.get("refresh_in") if isinstance(answer.document, dict) else None
    end = None if said is None or ends is None else refresh_end(said, answer.reply)
    return None if end is None or ends is None or ends.until(end) >= 0 else answer.reply.sent_at.until(end)


def claims_of(jwt: Any) -> Mapping[str, Any]:
    """Return the claims of a JWT that the token endpoint gave, without a look at its signature (OpenID Connect Core,
    3.1.3.7: TLS has authenticated the server). Empty for anything else."""
    parts = jwt.split(".") if isinstance(jwt, str) else []
    return (jwt_part(parts[1]) or {}) if len(parts) == 3 else {}


def refresh_end(value: Any, reply: UpstreamReply) -> Instant | None:
    """Return the end of a refresh token. 0 means none (Keycloak); what is no life means that none is known."""
    if value is None:
        return None
    try:
        return expiry(reply, Secret(""), host="", relative=value, zero_means="never")
    except TransientError:
        return None
