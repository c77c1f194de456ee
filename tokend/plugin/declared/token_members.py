"""Members of a token of a declared answer: its type, the headers to send with each call, the further members."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tokend.plugin.declared.placeholders import Value, as_text
from tokend.plugin.declared.places import Place
from tokend.plugin.declared.ready_headers import header_texts
from tokend.plugin.response_status import token_value
from tokend.plugin.text import fits_header
from tokend.values.errors import ServerSettingsError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token

# RFC 8693, 2.2.1: what was issued is no access token, and is sent in no header.
NOT_APPLICABLE = "N_A"
BEARER = "Bearer"
# Each costs a search for all its forms. A shorter number, such as a life, would be masked in all others.
MOST_SECRETS, SHORTEST_NUMBER = 50, 6
# A type is a word of a header, or a URI (RFC 6749, 8.1).
LONGEST_TYPE = 200


def token_at(place: Place | None, value: Any, host: str) -> Secret:
    """Return the token found at a place. Raises `TransientError` for what is none, as `token_value`.

    A whole text with white space in it is a message, not a token.
    """
    if place is not None and place.text_body and isinstance(value, str) and len(value.split()) > 1:
        raise TransientError(f"{host} answered without a token: the text is no token, it has white space in it")
    return token_value(value, host)


def found_secrets(values: Mapping[str, Any], secret_extra: Mapping[str, Any]) -> tuple[Secret, ...] | None:
    """Return the secrets that an answer brings, for the mask of its words: they may be the whole of its text.

    None if they are too many to look for.
    """
    return as_secrets([values["token"], values["refresh_token"], *secret_extra.values()])


def as_secrets(found: Iterable[Any]) -> tuple[Secret, ...] | None:
    """Return the texts and long numbers in the values found as secrets; None if they are more than `MOST_SECRETS`."""
    texts: list[str] = []
    waiting = list(found)
    while waiting and len(texts) <= MOST_SECRETS:
        one = waiting.pop()
        if isinstance(one, list | dict):
            waiting += one if isinstance(one, list) else one.values()
        elif isinstance(one, str) and one.strip():
            texts.append(one)
        elif isinstance(one, int | float) and len(str(one)) >= SHORTEST_NUMBER:
            texts.append(str(one))
    return tuple(map(Secret, texts)) if len(texts) <= MOST_SECRETS else None


def token_type(value: Any, host: str) -> str:
    """Return the type as it is sent in a header. OAuth's types are compared without case.

    Raises `TransientError` for what cannot be one, and `ServerSettingsError` for DPoP.
    """
    if value is None or value == "":
        return BEARER
    text = token_value(value, host).reveal()
    if len(text) > LONGEST_TYPE:
        raise TransientError(f"{host} answered with a token type of {len(text)} characters: discarded")
    if text.lower() == "dpop":
        raise ServerSettingsError(f"{host} answered with a token of type DPoP, which tokend does not do")
    return BEARER if text.lower() == "bearer" else text


def members(extra: Mapping[str, Any], secret_extra: Mapping[str, Any]) -> "dict[str, JSON | Secret]":
    """Return the further members of a token: those that were found, the secret ones as `Secret`."""
    found: dict[str, JSON | Secret] = {name: one for name, one in extra.items() if one is not None}
    for name, one in secret_extra.items():
        if one is not None:
            found[name] = Secret(one if isinstance(one, str) else json.dumps(one))
    return found


def with_headers(
    token: Token, configured: Mapping[str, str], host: str, more: Mapping[str, Value] | None = None
) -> Token:
    """Give a token the headers to send. ``more`` are further names and their values.

    Raises `TransientError` where the answer lacks a member that a header needs, or where a value does not fit.
    """
    made, missing = made_headers(configured, token, more)
    if missing:
        raise TransientError(f"{host} answered without {missing[0]}, which headers need")
    if (odd := next((name for name, text in made.items() if not fits_header(text)), None)) is not None:
        raise TransientError(f"{host} answered with a value that {odd} cannot carry")
    return replace(token, headers={name: Secret(text) for name, text in made.items()})


def made_headers(
    configured: Mapping[str, str], token: Token, more: Mapping[str, Value] | None = None
) -> tuple[dict[str, str], list[str]]:
    """Return the headers to send with each call, in clear, and the names that they lack.

    A header that lacks something is left out. An empty text removes ``Authorization``.
    """
    values = as_values(token)
    made, missing = {}, []
    authorization = "" if token.token_type == NOT_APPLICABLE else f"{BEARER} {{token}}"
    for name, parsed in header_texts(configured, authorization).items():
        others = {one for one in parsed.names if one not in values}
        if lacking := [one for one in others if more is None or one.startswith("extra.")]:
            missing += lacking
        else:
            made[name] = as_text(parsed.fill({**values, **{one: more[one] for one in others if more is not None}}))
    return made, missing


def as_values(token: Token) -> dict[str, Value]:
    """Return what a token brings by the names that stand in ``{…}``."""
    return {"token": token.value, **{f"extra.{name}": _as_value(one) for name, one in token.extra.items()}}


def _as_value(value: "JSON | Secret") -> Value:
    return json.dumps(value) if isinstance(value, list | dict) else value
