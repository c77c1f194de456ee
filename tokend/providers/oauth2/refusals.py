"""Meaning of an answer without a token: the login or the client is refused, a pause, or nothing was decided."""

import codecs
from dataclasses import dataclass
from typing import NoReturn

from tokend.plugin.declared.token_error_rows import raise_for_row
from tokend.plugin.declared.token_members import found_secrets
from tokend.plugin.response_status import RATE_LIMITED, raise_unauthorized, retry_after
from tokend.plugin.signing_time import refuse_signed
from tokend.plugin.vendor_words import with_words
from tokend.providers.oauth2.answers import Answer
from tokend.providers.oauth2.words import (
    CLIENT_CODES,
    ENDING_CODES,
    KNOWN_CODES,
    LOGIN_CODES,
    SLOW_DOWN,
    UNDECIDED_CODES,
)
from tokend.values.errors import (
    AttemptError,
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from tokend.values.secret import Secret

BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was sent: to which host, with which secrets, whether with a login, and when its times were signed (`Proof`).

    ``may_spend``: it holds a refresh token or a code, which the server may have spent. ``is_begun``: it belongs to a
    login that a person has begun, and that the server may end.
    """

    host: str
    secrets: tuple[Secret, ...] = ()
    is_of_login: bool = False
    signed_at: float | None = None
    may_spend: bool = False
    is_begun: bool = False


def refuse(answer: Answer, sent: Exchange) -> NoReturn:
    """Raise the `AttemptError` for an answer without a token. Its message holds no text of the server."""
    try:
        if answer.row is not None:
            raise_for_row(answer.row, answer.reply, sent.host)
        _raise_for_code(answer, sent)
        _raise_for_status(answer, sent)
    except AttemptError as error:
        brought = found_secrets(answer.values, answer.secret_extra)
        raise with_words(error, answer.reply, None if brought is None else (*sent.secrets, *brought)) from None


def _raise_for_code(answer: Answer, sent: Exchange) -> None:
    """Raise for a code of OAuth's registry. A 5xx decides nothing, whatever it says, and neither does a 429."""
    code, status = answer.code, answer.reply.status
    if code is None or status >= 500 or status == RATE_LIMITED or 300 <= status < 400:
        return
    said = f"{sent.host} answered {status}: {code if code in KNOWN_CODES else 'an unknown error'}"
    if code == SLOW_DOWN:
        raise RateLimitedError(said, retry_after=retry_after(answer.reply))
    if code in LOGIN_CODES and sent.is_of_login:
        raise LoginRefusedError(f"{said}: the server refuses the login")
    if code in ENDING_CODES and sent.is_begun:
        raise LoginRefusedError(said)
    if code in LOGIN_CODES or code in CLIENT_CODES:
        what = "the assertion or token that was sent" if code in LOGIN_CODES else "the client or what it asks for"
        _refused(answer, f"{said}: the server refuses {what}", sent)
    if status == 401 and not sent.is_of_login and code not in UNDECIDED_CODES:
        _refused(answer, f"{said}: the client is not accepted", sent)
    raise TransientError(said, retry_after=retry_after(answer.reply), may_be_spent=False)


def _refused(answer: Answer, said: str, sent: Exchange) -> NoReturn:
    """Raise `RejectedError`, or `ClockError` where the times in what was sent may be the reason."""
    if sent.signed_at is not None:
        refuse_signed(answer.reply, said, signed_at=sent.signed_at)
    if answer.code == "invalid_grant" and not sent.is_of_login:
        raise_unauthorized(answer.reply, said)
    raise RejectedError(said)


def _raise_for_status(answer: Answer, sent: Exchange) -> NoReturn:
    """Raise for an answer without a code. The login stays; a 5xx, a redirect and a page may have spent it."""
    host, status = sent.host, answer.reply.status
    pause = retry_after(answer.reply)
    if status == RATE_LIMITED:
        raise RateLimitedError(f"{host} answered 429: too many requests", retry_after=pause)
    if status >= 500:
        raise TransientError(f"{host} answered {status}", retry_after=pause, repeatable=True, may_be_spent=True)
    if 300 <= status < 400:
        what = "redirects are refused, they would carry secrets elsewhere"
        raise TransientError(f"{host} answered {status}: {what}", retry_after=pause, may_be_spent=True)
    if answer.is_page:
        what = "with HTML, not JSON: does a proxy or a login page answer?"
        raise TransientError(f"{host} answered {status} {what}", retry_after=pause, may_be_spent=True)
    if status == 401:
        _refused(answer, f"{host} answered 401: the client is not accepted", sent)
    if 200 <= status < 300 and sent.may_spend and not _is_text(answer):
        raise LostAnswerError(f"{host} answered {status} with something that is no token")
    raise TransientError(f"{host} answered {status} without a token", retry_after=pause, may_be_spent=False)


def _is_text(answer: Answer) -> bool:
    """Return whether a body is text of people, not JSON that was cut, is in another encoding, or holds no object."""
    body, kind = answer.reply.body, answer.reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    says_json = kind == "application/json" or kind.endswith("+json") or body.startswith(BYTE_ORDER_MARKS)
    return answer.document is None and not says_json and bool(body.strip()) and body.lstrip()[:1] not in b'{["'
