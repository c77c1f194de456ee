"""Errors that tokend raises on purpose. A class says *what happens next*.

A message is for the operator: what, which one, what was found, what to do. It never holds a secret or a response body;
raise ``from None`` where the cause could quote input. The code that handles an error logs it; no code logs and raises.
Any other exception is a bug, and only the supervisor catches it.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tokend.values.few_names import few


class TokendError(Exception):
    """An error with a message that an operator may read. ``reason`` is its stable name in status and metrics."""

    reason: ClassVar[str] = "internal"

    @property
    def detail(self) -> str:
        """The operator's sentence."""
        return str(self)


# ------------------------------------------------------------------ one attempt to get a token


class AttemptError(TokendError):
    """One attempt at an upstream (or at local signing) produced no token.

    ``said`` are the vendor's own words about it (`plugin.vendor_words`), for admins and for the caller of an `issue`.
    They never go to the log.
    """

    said: str | None = None

    @property
    def whole(self) -> str:
        """The operator's sentence, and what the upstream said."""
        return self.detail if self.said is None else f"{self.detail}; the upstream said: {self.said}"


class TransientError(AttemptError):
    """Nothing was learned about the credentials: try again by backoff.

    ``retry_after`` is the pause that the upstream asked for, in seconds, or None. ``repeatable`` says that an `issue`
    may repeat the call (timeouts and 5xx; docs/vendors.md, auth-token). A malformed answer is not repeatable: the
    call may have had its effect. ``is_sent`` is false if no connection came about: the call had no effect.
    ``is_answered`` is false if the connection ended before the head of an answer. ``is_void``: the host answered, and
    what came is of no use (cut, too large, encoded, no HTTP); a status that asks to wait is no void answer.
    ``may_be_spent``: a complete answer has decided nothing, and the server may have spent the refresh token that was
    sent (5xx, 3xx, a page).
    """

    reason = "transient"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        repeatable: bool = False,
        is_sent: bool = True,
        is_answered: bool = True,
        is_void: bool = False,
        may_be_spent: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.repeatable = repeatable
        self.is_sent = is_sent
        self.is_answered = is_answered
        self.is_void = is_void
        self.may_be_spent = may_be_spent


class LostAnswerError(TransientError):
    """A refresh token was sent, and no complete, acceptable answer arrived: whether it was spent is not known."""


class LoginFileError(TransientError):
    """The login file cannot be used now, or another daemon uses it. Nothing was sent; try again by backoff."""

    reason = "store"

    def __init__(self, message: str) -> None:
        super().__init__(message, is_sent=False)


class SameAsForgottenError(TransientError):
    """The upstream returned a token that an admin has forgotten. It is not published again; try again by backoff."""

    reason = "same_as_forgotten"


class RateLimitedError(AttemptError):
    """The upstream asked for a pause (429). ``retry_after`` is in seconds, None without a usable value."""

    reason = "rate_limited"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RejectedError(AttemptError):
    """The upstream refused the credentials. No timer retries after the second refusal in a row."""

    reason = "rejected"


class PersonNeededError(RejectedError):
    """The upstream wants a person before it takes the credentials (a captcha, terms): no timer retries at all.

    For kinds and settings without a login of a person; `LoginRefusedError` is for those with one.
    """

    reason = "login_required"


class RejectedTwiceError(RejectedError):
    """The upstream refused the credentials twice in one attempt: no timer retries after it."""


class ServerSettingsError(RejectedError):
    """The server is not what the settings say, or demands what tokend does not do: only other settings help."""

    reason = "config"


class LoginRefusedError(AttemptError):
    """The server refused the login (its refresh token, code or device code). A person has to log in again."""

    reason = "login_required"


class WrongStateError(TokendError):
    """The address belongs to another login than the one under way. Nothing was sent; the login goes on."""

    reason = "wrong_state"


class ClockError(AttemptError):
    """The upstream refused the request because its clock and ours differ too much.

    ``offset`` is the upstream's clock minus ours in seconds; the runtime has learned it already. It is None if only our
    own clock is implausible.
    """

    reason = "clock"

    def __init__(self, message: str, *, offset: float | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class SecretError(AttemptError):
    """A secret is empty or cannot be read. No request was made. The next attempt follows a change of the secret."""

    reason = "config"


class NoCredentialsError(SecretError):
    """A secret is one of a unit's credentials, and this process belongs to no unit that has any."""


class WaitingError(SecretError):
    """Another provider's token, which the attempt needs, is not valid now. The next attempt follows its change."""

    reason = "waiting"


class UnsafePathError(SecretError):
    """Somebody else decides what is in a file that the attempt needs (`files.trusted`). The file was not read."""

    reason = "unsafe_path"


class InvalidParametersError(AttemptError):
    """The caller's parameters to `issue` are wrong: ``errors`` maps each field to its texts.

    ``is_sent`` is false where `issue` itself found that: no vendor has read them, and accepted the credentials.
    """

    reason = "parameters"

    def __init__(self, errors: Mapping[str, Sequence[str]], *, is_sent: bool = True) -> None:
        super().__init__("invalid parameters: " + few(sorted(errors)))
        self.errors = {field: tuple(texts) for field, texts in errors.items()}
        self.is_sent = is_sent


# ------------------------------------------------------------------ configuration, sinks, state


class ConfigError(TokendError):
    """The configuration is wrong; nothing was changed. The message is complete: all errors, one after another."""

    reason = "config"


class SinkError(TokendError):
    """A token could not be written; the target is unchanged. Only the publisher retries.

    ``may_have_acted``: a store got the request, and its answer was lost. ``is_unanswered``: the connection to a store
    ended before the head of an answer: its host may be away, or this one request may break it.
    """

    reason = "sink"
    may_have_acted = False
    is_unanswered = False


class SinkUnavailableError(SinkError):
    """The store's host cannot be used now: no connection, no answer in time, 429 or 503. All sinks of the host pause.

    ``retry_after`` is the pause that the store asked for, in seconds, or None.
    """

    reason = "sink_unavailable"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SinkRejectedError(SinkError):
    """The store refused the credential, or what the credential may do. After a second refusal a long pause follows."""

    reason = "sink_rejected"


class SinkConflictError(SinkError):
    """Another writer owns the target. Nothing more is written until an admin or a changed table decides."""

    reason = "sink_conflict"


class SinkFinalError(SinkError):
    """The store never takes this content (too large, immutable, …): only a newer token or a changed table helps."""

    reason = "sink_final"


class NewerGenerationError(SinkError):
    """The target holds a newer token of ours, with this ``generation``: the saved state is old. Nothing was written."""

    def __init__(self, message: str, *, generation: int) -> None:
        super().__init__(message)
        self.generation = generation


class StoreError(TokendError):
    """The state could not be read or written; the token in memory is unchanged."""

    reason = "store"


class StateLockedError(StoreError):
    """Another instance holds the state directory; the message names it."""


# ------------------------------------------------------------------ answers to readers


class ReaderError(TokendError):
    """A reader's request cannot be granted. ``code`` and ``status`` are those of the problem document.

    ``retry_at`` is the earliest useful moment to ask again, in Unix seconds, or None.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_at: float | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class UnknownTokenError(ReaderError):
    """No such token, or a token that this peer may not see: the answer must be the same for both."""

    code, status = "unknown_token", 404


class DeniedError(ReaderError):
    """The peer may not do this."""

    code, status = "denied", 403


class NotSupportedError(ReaderError):
    """This kind of token cannot do this."""

    code, status = "not_supported", 405


class WrongAddressError(ReaderError):
    """The address at which a browser has ended finishes no login that is under way here. Nothing was sent."""

    code, status = "bad_request", 400


class GenerationConflictError(ReaderError):
    """``if_generation`` is above the current generation: the caller did not learn it from this daemon."""

    code, status = "generation_conflict", 409


class ThrottledError(ReaderError):
    """The request comes too early: the minimum interval, the readers' allowance or a Retry-After forbids it."""

    code, status = "rate_limited", 429


class TokenUnavailableError(ReaderError):
    """No token satisfies the request now."""

    code, status = "token_unavailable", 503


class LoginRequiredError(ReaderError):
    """No token is valid, and only a person can change that (states `rejected` and `login_required`)."""

    code, status = "login_required", 503


class WaitTimeoutError(ReaderError):
    """The wait ended before the answer came; the attempt goes on."""

    code, status = "timeout", 504
