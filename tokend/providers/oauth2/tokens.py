"""Tokens of answers: the value, its end, its headers and further members."""

from collections.abc import Mapping
from typing import Any

from tokend.plugin.declared.token_ends import refresh_end, token_end
from tokend.plugin.declared.token_members import members, token_at, token_type, with_headers
from tokend.plugin.token_expiry import jwt_part
from tokend.providers.oauth2.answers import Answer
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import REFRESH_IN, Token

# Absolute ends, which servers give beside or instead of ``expires_in``.
_ABSOLUTE = ("expires_on", "expires_at")


def token_of(settings: OAuth2Settings, answer: Answer, host: str) -> Token:
    """Make the token of an answer. Raises `TransientError` for one that is unusable."""
    reply, values = answer.reply, answer.values
    value = token_at(settings.answer.token, values["token"], host)
    kind = token_type(values["token_type"], host)
    extra = members(answer.extra, answer.secret_extra)
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
    return with_headers(token, settings.headers, host)


def _end(settings: OAuth2Settings, answer: Answer, token: Secret, host: str) -> Instant | None:
    """Return the end: what the answer says, the JWT's own, ``answer.lifetime``; at most ``max_lifetime``."""
    relative, absolute, document = answer.values["expires_in"], answer.values["expires_at"], answer.document
    is_usual = settings.answer.expires_in is None and settings.answer.expires_at is None
    if relative is None and is_usual and isinstance(document, dict):
        absolute = next((document[key] for key in _ABSOLUTE if document.get(key) is not None), None)
    return token_end(
        answer.reply,
        token,
        settings.answer,
        host=host,
        relative=relative,
        absolute=absolute,
        zero_means=settings.zero_means,
        max_lifetime=settings.max_lifetime,
    )


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
