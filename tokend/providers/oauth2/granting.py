"""Answers that grant for a login: the token, the refresh token with its end, the account, the scopes."""

import re
from collections.abc import Mapping
from typing import Any

from tokend.plugin.declared.places import Place
from tokend.plugin.declared.token_ends import refresh_end
from tokend.plugin.declared.token_members import token_at
from tokend.plugin.vendor_words import with_words
from tokend.providers.oauth2.answers import Answer
from tokend.providers.oauth2.exchange import Answered
from tokend.providers.oauth2.refusals import refuse
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.providers.oauth2.tokens import claims_of, token_of
from tokend.values.errors import AttemptError, LoginRefusedError, LostAnswerError, RejectedError, TransientError
from tokend.values.instant import Instant
from tokend.values.logins import Granted, Login
from tokend.values.secret import Secret
from tokend.values.url import origin_of

_OF_GOOGLE = "https://www.googleapis.com/auth/userinfo."
# GitHub separates scopes by commas.
_SEPARATORS = re.compile(r"[ ,]+")


def granted_of(
    settings: OAuth2Settings,
    answered: Answered,
    url: str,
    *,
    login: Login | None = None,
    parameters: Mapping[str, Secret] | None = None,
) -> Granted:
    """Return what an answer of ``url`` grants; ``login`` is the one that was refreshed, None for a new one.

    A new refresh token is kept even if the token beside it is unusable. Raises the `AttemptError` of any other answer.
    """
    answer, sent = answered.answer, answered.sent
    refresh_token = _refresh_token(settings.answer.refresh_token, answer, sent.host)
    if answer.row is not None or not (answer.is_granted or refresh_token is not None):
        try:
            refuse(answer, sent)
        except LoginRefusedError:
            raise
        except AttemptError as error:
            if refresh_token is None:
                raise
            fault: AttemptError | None = error
            token = None
    else:
        token, fault = None, None
        try:
            token = token_of(settings, answer, sent.host)
        except AttemptError as error:
            if refresh_token is None and _has_no_token(settings.answer.token, answer, sent.host):
                raise with_words(LostAnswerError(error.detail), answer.reply, answered.secrets) from None
            fault = with_words(error, answer.reply, answered.secrets)
    subject = _subject(settings, answer)
    if login is not None and settings.subject is not None and subject not in {None, settings.subject}:
        token, fault = None, RejectedError(f"{sent.host} granted a token of another account than subject says")
    return Granted(
        origin=origin_of(url),
        answered_at=answer.reply.sent_at,
        token=token,
        fault=fault,
        refresh_token=refresh_token,
        refresh_ends_at=_refresh_end(settings, answer, login),
        subject=subject,
        scopes=_scopes(settings, answer, login),
        parameters=dict(parameters or {}),
    )


def _refresh_token(place: Place | None, answer: Answer, host: str) -> Secret | None:
    """Return the refresh token of a success; None if there is none that could be sent."""
    if not 200 <= answer.reply.status < 300:
        return None
    try:
        return token_at(place, answer.values["refresh_token"], host)
    except TransientError:
        return None


def _has_no_token(place: Place | None, answer: Answer, host: str) -> bool:
    try:
        token_at(place, answer.values["token"], host)
    except TransientError:
        return True
    return False


def _refresh_end(settings: OAuth2Settings, answer: Answer, login: Login | None) -> Instant | None:
    """Return the end of the refresh token: the server's, else ``login_lifetime`` from the login or from now."""
    said = refresh_end(answer.values["refresh_expires_in"], answer.reply, settings.answer.unit_seconds)
    if said is not None or settings.login_lifetime is None:
        return said
    start = answer.reply.sent_at
    if login is not None and settings.login_lifetime_from == "login":
        start = login.obtained_at
    return start.after(settings.login_lifetime.total_seconds())


def _subject(settings: OAuth2Settings, answer: Answer) -> str | None:
    """Return the account: what ``answer.subject`` finds, else the subject of an ID token."""
    found: Any = answer.values["subject"]
    if found is None and settings.answer.subject is None and isinstance(answer.document, dict):
        found = claims_of(answer.document.get("id_token")).get("sub")
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    text = str(found)
    return text if text and text.isprintable() else None


def _scopes(settings: OAuth2Settings, answer: Answer, login: Login | None) -> tuple[str, ...] | None:
    """Return the granted scopes. RFC 6749, 5.1: without a word they are those that were asked for."""
    said = answer.document.get("scope") if isinstance(answer.document, dict) else None
    if isinstance(said, list) and all(isinstance(one, str) for one in said):
        named = list(said)
    elif not isinstance(said, str):
        return settings.scope or None if login is None else None
    elif settings.scope_separator not in {" ", ","} and settings.scope_separator in said:
        named = said.split(settings.scope_separator)
    else:
        named = _SEPARATORS.split(said)
    return tuple(dict.fromkeys(filter(None, [*named, *_unnamed(settings, answer, named, login)])))


def _unnamed(settings: OAuth2Settings, answer: Answer, named: list[str], login: Login | None) -> list[str]:
    """Return scopes that were asked for and granted, and that the server does not name so.

    Azure does not name offline_access beside the refresh token that it is for; Google has longer names.
    """
    has_refresh_token = login is not None or bool(answer.values["refresh_token"])
    has_id_token = isinstance(answer.document, dict) and bool(answer.document.get("id_token"))
    found = {"offline_access": has_refresh_token, "openid": has_id_token}
    found |= {short: f"{_OF_GOOGLE}{short}" in named for short in ("email", "profile")}
    return [one for one in settings.scope if found.get(one)]
