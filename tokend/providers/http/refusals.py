"""Meaning of an answer without a token: by the rows of ``errors``, then by its status."""

from typing import NoReturn

from tokend.plugin.declared.token_error_rows import raise_for_row
from tokend.plugin.response_status import asks_to_wait, refuse, retry_after
from tokend.plugin.signing_time import refuse_signed
from tokend.plugin.vendor_words import with_words
from tokend.providers.http.exchange import Answered
from tokend.values.errors import (
    AttemptError,
    ClockError,
    LoginRefusedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)

# RFC 8628, and what others have made of it.
SLOW_DOWN = "slow_down"


def raise_refusal(answered: Answered) -> NoReturn:
    """Raise the `AttemptError` of an answer that grants nothing. Its message holds no text of the server."""
    try:
        _raise(answered)
    except AttemptError as error:
        raise with_words(error, answered.found.reply, answered.secrets) from None


def raise_unless_refused(answered: Answered) -> None:
    """Raise the error of an answer to ``renew`` that says nothing of the token: 429, 5xx, and rows that say so."""
    found = answered.found
    status, row = found.reply.status, found.row
    says_nothing = asks_to_wait(status) or _is_slow_down(answered)
    if (says_nothing and row is None) or (row is not None and row[1].means in {"rate_limited", "transient", "clock"}):
        raise_refusal(answered)


def refuses_credentials(answered: Answered) -> bool:
    """Return whether an answer that grants nothing refuses what was sent: the credentials, or the time beside them."""
    try:
        _raise(answered)
    except AttemptError as error:
        return isinstance(error, RejectedError | LoginRefusedError | ClockError)


def _raise(answered: Answered) -> NoReturn:
    found, sent = answered.found, answered.sent
    reply = found.reply
    if found.row is not None:
        raise_for_row(found.row, reply, sent.host)
    if _is_slow_down(answered):
        raise RateLimitedError(f"{sent.host} answered {reply.status}: slow_down", retry_after=retry_after(reply))
    if reply.status == 401 and sent.signed_at is not None:
        what = f"{sent.host} answered 401: the credentials are not accepted"
        refuse_signed(reply, what, signed_at=sent.signed_at)
    if not 200 <= reply.status < 300:
        refuse(reply, sent.host)
    if found.problem is not None:
        raise TransientError(found.problem)
    raise TransientError(f"{sent.host} answered {reply.status}, which answer.status and answer.success call no success")


def _is_slow_down(answered: Answered) -> bool:
    found = answered.found
    return found.code == SLOW_DOWN and 400 <= found.reply.status < 500
