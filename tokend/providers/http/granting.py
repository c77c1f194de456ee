"""Answers that grant for a login: the token, the refresh token with its end, and the account."""

from collections.abc import Mapping
from typing import Any

from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.places import Place
from tokend.plugin.declared.request import RequestSettings
from tokend.plugin.declared.token_ends import refresh_end
from tokend.plugin.declared.token_members import token_at
from tokend.plugin.login import RememberingRuntime
from tokend.plugin.vendor_words import with_words
from tokend.providers.http.exchange import Answered, Made, make, send
from tokend.providers.http.found import Found
from tokend.providers.http.kept_token import kept
from tokend.providers.http.settings import HttpSettings
from tokend.providers.http.tokens import renewed_token, token_of
from tokend.values.errors import AttemptError, LostAnswerError, RejectedError, TransientError
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.tokens import Token
from tokend.values.url import origin_of


async def ask_once(
    settings: HttpSettings,
    runtime: RememberingRuntime,
    request: RequestSettings,
    held: Mapping[str, Value],
    known: Token | None = None,
) -> Answered:
    """Send what a server may take once: a refresh token, or what a browser has brought.

    Raises as `make` and `send_once`.
    """
    return await send_once(settings, runtime, await make(settings, runtime, request, held, known))


async def send_once(settings: HttpSettings, runtime: RememberingRuntime, made: Made) -> Answered:
    """Send a request as `send`. Raises `LostAnswerError` where it was sent, and no complete answer came."""
    try:
        return await send(settings, runtime, made)
    except TransientError as error:
        if error.is_sent:
            raise LostAnswerError(
                error.detail,
                retry_after=error.retry_after,
                repeatable=error.repeatable,
                is_answered=error.is_answered,
                is_void=error.is_void,
            ) from None
        raise


def granted_of(
    settings: HttpSettings, answered: Answered, *, previous: Token | None = None, is_refresh: bool = False
) -> Granted:
    """Return what a success grants. ``previous`` is the token that a refresh may prolong.

    A new refresh token is kept even if the token beside it is unusable. Raises `LostAnswerError` for an answer with
    neither.
    """
    found, sent = answered.found, answered.sent
    refresh_token = _refresh_token(settings.answer.refresh_token, found, sent.host)
    token, fault = None, None
    try:
        token = _token(settings, answered, previous, is_refresh=is_refresh)
    except AttemptError as error:
        if refresh_token is None and found.values["token"] is None:
            raise with_words(LostAnswerError(error.detail, is_void=True), found.reply, answered.secrets) from None
        fault = with_words(error, found.reply, answered.secrets)
    subject = _subject(found.values["subject"])
    if is_refresh and settings.subject is not None and subject not in {None, settings.subject}:
        token, fault = None, RejectedError(f"{sent.host} granted a token of another account than subject says")
    return Granted(
        origin=origin_of(settings.request.url.origin),
        answered_at=found.reply.sent_at,
        token=token,
        fault=fault,
        refresh_token=refresh_token,
        refresh_ends_at=refresh_end(
            found.values["refresh_expires_in"], found.reply, unit_seconds=settings.answer.unit_seconds
        ),
        subject=subject,
        parameters={} if token is None or settings.renew is None else kept(token),
    )


def _token(settings: HttpSettings, answered: Answered, previous: Token | None, *, is_refresh: bool) -> Token:
    renew = settings.renew
    if not is_refresh or previous is None or renew is None:
        return token_of(settings, answered, previous)
    if answered.found.values["token"] is None and not renew.token_optional:
        raise TransientError(f"{answered.sent.host} answered without a token")
    return renewed_token(settings, answered, previous)


def _refresh_token(place: Place | None, found: Found, host: str) -> Secret | None:
    """Return the refresh token of a success; None if there is none that could be sent."""
    try:
        return token_at(place, found.values["refresh_token"], host)
    except TransientError:
        return None


def _subject(found: Any) -> str | None:
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    text = str(found)
    return text if text and text.isprintable() else None
