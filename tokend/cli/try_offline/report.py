"""The report of an attempt without an upstream, for people and as JSON. It holds no token and no body."""

import json
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any
from urllib.parse import parse_qsl

import click

from tokend.cli.streams import escaped, escaped_values
from tokend.cli.token_rows import describe_seconds
from tokend.cli.try_offline.attempt import Tried, Way
from tokend.cli.try_offline.meaning import after_error, after_token, exit_code, outcome_word
from tokend.cli.try_offline.offline_runtime import Exchanged
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.settings import ProviderSettings
from tokend.plugin.shown_text import shown
from tokend.plugin.strict_json import try_object
from tokend.plugin.vendor_words import cleaned
from tokend.values.secret import Secret
from tokend.values.tokens import Token, shown_extra, utc

_WAYS: Mapping[Way, str] = {
    "fetch": "a token is fetched",
    "renew": "a valid token is held, and is renewed",
    "refresh": "a login is refreshed",
    "begin": "a login is begun, without a person",
    "login": "a person logs in in a browser",
    "issue": "a caller asks for a token",
}
COLUMNS, INDENT = 100, 11
_AS_WRITTEN: Mapping[str, Any] = {"break_long_words": False, "break_on_hyphens": False, "drop_whitespace": True}
_FORM = "application/x-www-form-urlencoded"
NO_REPLY = "one more request follows, and no answer is given for it: give it with another --reply"
NO_REQUEST = "the attempt ended before its first request: the answer was not looked at"


def print_text(name: str, settings: ProviderSettings, tried: Tried) -> None:
    """Print the report for people."""
    for line in _lines(name, settings, tried):
        click.echo("\n".join(wrap(escaped(line), COLUMNS, subsequent_indent=" " * INDENT, **_AS_WRITTEN)))


def print_json(name: str, settings: ProviderSettings, tried: Tried) -> None:
    """Print the report as JSON."""
    answer = {
        "version": 1,
        "name": name,
        "kind": settings.kind,
        "way": tried.way,
        "outcome": outcome_word(tried),
        "exit_code": exit_code(tried),
        "requests": [_request(tried, one) for one in tried.exchanges],
        "token": None if tried.token is None else _token(settings, tried.token),
        "login": _login(tried),
        "error": _error(settings, tried),
        "next": _next(name, settings, tried),
    }
    click.echo(json.dumps(escaped_values(answer)))


# ------------------------------------------------------------------ as JSON


def _request(tried: Tried, one: Exchanged) -> dict[str, Any]:
    body, members = _body(one.request)
    return {
        "method": one.request.method,
        "url": tried.stand_ins.shown(one.request.url),
        "headers": sorted(one.request.headers),
        "body": {"bytes": len(one.request.body), "type": body, "members": members},
        "is_known": one.is_known,
        "status": None if one.reply is None else one.reply.status,
    }


def _body(request: UpstreamRequest) -> tuple[str | None, list[str] | None]:
    """Return the type of a request's body, and the names in it where it is a form or an object of JSON."""
    types = (value for key, value in request.headers.items() if key.lower() == "content-type")
    media = next((value.reveal() if isinstance(value, Secret) else value for value in types), None)
    if not request.body:
        return None, None
    if media is not None and media.startswith(_FORM):
        return media, [shown(key) for key, _ in parse_qsl(request.body.decode("latin-1"), keep_blank_values=True)]
    found = try_object(request.body)
    return media, None if found is None else [shown(key) for key in found]


def _token(settings: ProviderSettings, token: Token) -> dict[str, Any]:
    extra = shown_extra(token)
    return {
        "characters": len(token.value.reveal()),
        "token_type": token.token_type,
        "issued_at": utc(token.issued_at.wall),
        "expires_at": None if token.expires_at is None else utc(token.expires_at.wall),
        "life_seconds": token.life_seconds,
        "is_extended": token.is_extended,
        "headers": sorted(settings.ready_headers(token)),
        "extra": sorted(key for key, value in extra.items() if not isinstance(value, Secret)),
        "secret_extra": sorted(key for key, value in extra.items() if isinstance(value, Secret)),
    }


def _login(tried: Tried) -> dict[str, Any] | None:
    if (granted := tried.granted) is None:
        return None
    ends = granted.refresh_ends_at
    return {
        "new_refresh_token": granted.refresh_token is not None,
        "ends_at": None if ends is None else utc(ends.wall),
        "has_subject": granted.subject is not None,
        "scopes": None if granted.scopes is None else list(granted.scopes),
    }


def _error(settings: ProviderSettings, tried: Tried) -> dict[str, Any] | None:
    if tried.error is not None:
        # The kind has masked the stand-ins; an answer that was kept may echo a secret of the configuration.
        literals = [one.literal for one in settings.secrets().values() if one.literal is not None]
        words = None if tried.error.said is None else cleaned(tried.error.said, literals)
        said = None if words is None else shown(words)
        return {"class": tried.error.reason, "detail": tried.error.detail, "said": said}
    if tried.bug is not None:
        return {"class": "bug", "detail": f"the kind's own code failed: {tried.bug}", "said": None}
    return {"class": "no_reply", "detail": NO_REPLY, "said": None} if tried.is_unanswered else None


def _next(name: str, settings: ProviderSettings, tried: Tried) -> str | None:
    if tried.error is not None:
        return after_error(name, settings, tried, tried.error)
    return None if tried.token is None else after_token(settings, tried.token)


# ------------------------------------------------------------------ for people


def _lines(name: str, settings: ProviderSettings, tried: Tried) -> Iterator[str]:
    yield f"{name} ({settings.kind}): {_WAYS[tried.way]}; nothing is sent"
    for one in tried.exchanges:
        yield from _exchange_lines(_request(tried, one), one)
    if not tried.exchanges:
        yield f"  {NO_REQUEST}"
    if tried.error is not None or tried.bug is not None or tried.is_unanswered:
        error = _error(settings, tried) or {}
        yield f"{error['class'].replace('_', ' ')}: {error['detail']}"
        if error["said"] is not None:
            yield f"  said     {error['said']}"
    elif tried.token is None:
        yield "no token: the answer brings a refresh token alone"
    if tried.token is not None:
        yield from _token_lines(_token(settings, tried.token))
    if (login := _login(tried)) is not None:
        yield from _login_lines(login)
    if (following := _next(name, settings, tried)) is not None:
        yield f"  next     {following}"


def _exchange_lines(request: dict[str, Any], one: Exchanged) -> Iterator[str]:
    yield f"  request  {request['method']} {request['url']}"
    yield f"           headers {', '.join(request['headers']) or '(none)'}"
    body = request["body"]
    if body["bytes"]:
        members = "" if not body["members"] else f": {', '.join(body['members'])}"
        yield f"           body {body['type'] or 'without a type'}{members}"
    if not one.is_known:
        yield "  answer   the server's metadata are not known here: the addresses below stand in for its own"
    elif one.reply is not None:
        media = one.reply.headers.get("content-type", "no type")
        yield f"  answer   {one.reply.status}, {len(one.reply.body)} bytes, {shown(media)}"


def _token_lines(token: dict[str, Any]) -> Iterator[str]:
    yield f"token: {token['characters']} characters, {token['token_type'] or 'no type'}"
    if token["expires_at"] is None:
        yield "  ends     never, as far as the answer says"
    else:
        yield f"  ends     {token['expires_at']}, {describe_seconds(token['life_seconds'])} after the request"
    if token["is_extended"]:
        yield "  kept     it is the token that was held, with a new end"
    for label, key in (("headers", "headers"), ("extra", "extra"), ("secret", "secret_extra")):
        if token[key]:
            yield f"  {label:<8} {', '.join(token[key])}"


def _login_lines(login: dict[str, Any]) -> Iterator[str]:
    which = "a new refresh token" if login["new_refresh_token"] else "no new refresh token"
    ends = "" if login["ends_at"] is None else f", login ends {login['ends_at']}"
    yield f"  login    {which}{ends}"
    if login["scopes"]:
        yield f"  scopes   {' '.join(login['scopes'])}"
