"""Tokens of answers, and tokens held that ``renew`` has prolonged."""

from dataclasses import replace

from tokend.plugin.declared.request_names import needed_by
from tokend.plugin.declared.signed_request import Names
from tokend.plugin.declared.token_ends import token_end
from tokend.plugin.declared.token_members import BEARER, as_values, members, token_at, token_type, with_headers
from tokend.plugin.token_expiry import jwt_expiry
from tokend.providers.http.exchange import Answered
from tokend.providers.http.found import Found
from tokend.providers.http.settings import ExchangeSettings, HttpSettings
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Token

# A smaller difference of two ends comes from the rounding of a life, and of times, to seconds.
SAME_END_SECONDS = 2.0


def token_of(settings: ExchangeSettings, answered: Answered, previous: Token | None) -> Token:
    """Make the token of an answer that grants one. Raises `TransientError` for one that is unusable.

    ``previous`` is the token held: if the same comes again, with a later end that the answer says, that end counts.
    """
    token = _token(settings, answered)
    if previous is not None and previous.value == token.value and _says_end(settings, answered.found):
        token = replace(token, is_extended=is_later(previous.expires_at, token.expires_at))
    return _with_headers(settings, answered, token)


def renewed_token(settings: HttpSettings, answered: Answered, previous: Token) -> Token:
    """Return the token of ``renew``: a new one, or the one held with another end, counted from this request.

    Its type and its members are those of the token held where the answer does not mention them. Raises
    `TransientError` for an answer that is unusable.
    """
    found, host = answered.found, answered.sent.host
    extra = {**previous.extra, **members(found.extra, found.secret_extra)}
    if found.values["token"] is None:
        _refuse_unreadable(found, host)
        ends = _end(settings, found, previous.value, host)
        same = replace(previous, issued_at=found.reply.sent_at, expires_at=ends, extra=extra, is_extended=True)
        return _with_headers(settings, answered, same)
    token = _token(settings, answered, previous.token_type)
    is_extended = token.value == previous.value and is_later(previous.expires_at, token.expires_at)
    return _with_headers(settings, answered, replace(token, extra=extra, is_extended=is_extended))


def _token(settings: ExchangeSettings, answered: Answered, known_type: str = BEARER) -> Token:
    """Make the token of an answer. ``known_type`` is its type where the answer says none."""
    found, host = answered.found, answered.sent.host
    if found.values["token"] is None and found.problem is not None:
        raise TransientError(found.problem)
    value = token_at(settings.answer.token, found.values["token"], host)
    said = found.values["token_type"]
    kind = known_type if said is None or said == "" else token_type(said, host)
    ends = _end(settings, found, value, host)
    return Token(value, kind, found.reply.sent_at, ends, extra=members(found.extra, found.secret_extra))


def _with_headers(settings: ExchangeSettings, answered: Answered, token: Token) -> Token:
    sent, brought = answered.sent, as_values(token)
    needs = needed_by((name for text in settings.made_headers.values() for name in text.names), settings.values)
    if lacking := sorted(name for name in needs if name.startswith("extra.") and name not in brought):
        raise TransientError(f"{sent.host} answered without {lacking[0]}, which headers need")
    names = Names(settings.values, {**sent.given, **brought}, sent.moment)
    return with_headers(token, settings.headers, sent.host, names)


def is_later(before: Instant | None, ends: Instant | None) -> bool:
    """Return whether an end is later than the one before; None is the end of a token without one."""
    if before is None or ends is None:
        return before is not None
    return before.until(ends) > SAME_END_SECONDS


def _end(settings: ExchangeSettings, found: Found, token: Secret, host: str) -> Instant | None:
    answer, relative, absolute = settings.answer, found.values["expires_in"], found.values["expires_at"]
    is_named = answer.expires_in is not None or answer.expires_at is not None
    is_said = relative is not None or absolute is not None or answer.expires_daily is not None
    if is_named and not is_said and answer.lifetime is None and jwt_expiry(token) is None:
        raise TransientError(f"{host} answered without the end of the token, and answer.lifetime is not set: discarded")
    return token_end(
        found.reply,
        token,
        answer,
        host=host,
        relative=relative,
        absolute=absolute,
        zero_means=answer.zero_means,
        max_lifetime=settings.max_lifetime,
    )


def _says_end(settings: ExchangeSettings, found: Found) -> bool:
    return (
        found.values["expires_in"] is not None
        or found.values["expires_at"] is not None
        or settings.answer.expires_daily is not None
    )


def _refuse_unreadable(found: Found, host: str) -> None:
    """Raise `TransientError` for a page, or a body that is cut or no JSON: no server has renewed anything."""
    if found.is_page or (found.problem is not None and found.reply.body.strip()):
        raise TransientError(found.problem or f"{host} answered with HTML: does a proxy or a login page answer?")
