"""Every error tokend raises on purpose, as classes by *what happens next*.

A message is for the operator: what, which one, what was found, what to do. It never holds a secret and never a
response body; raise ``from None`` where the cause could quote input. Whoever handles an error logs it; nobody logs
and raises. Anything that is not a `TokendError` is a bug, and only the supervisor catches it.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class TokendError(Exception):
    """An error with a message that an operator may read. ``reason`` is its stable name in status and metrics."""

    reason: ClassVar[str] = "internal"

    @property
    def detail(self) -> str:
        """The operator's sentence."""
        return str(self)


# ------------------------------------------------------------------ one attempt to get a token


class AttemptError(TokendError):
    """One attempt at an upstream (or at local signing) produced no token."""


class TransientError(AttemptError):
    """Nothing was learned about the credentials: try again by backoff.

    ``retry_after`` is the upstream's own wish in seconds, or None. ``repeatable`` says that an `issue` may repeat
    the call (timeouts and 5xx; docs/vendors.md, auth-token); a malformed answer is not: the call may have had effect.
    """

    reason = "transient"

    def __init__(self, message: str, *, retry_after: float | None = None, repeatable: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.repeatable = repeatable


class RateLimitedError(AttemptError):
    """The upstream asked for a pause (429). ``retry_after`` in seconds, None where it named none that is usable."""

    reason = "rate_limited"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RejectedError(AttemptError):
    """A verdict on the credentials. Never retried on a timer beyond the second one in a row."""

    reason = "rejected"


class ClockError(AttemptError):
    """Our clock and the upstream's disagree so far that it refused us.

    ``offset`` is upstream minus ours in seconds (already learned by the runtime when this is raised), None where
    only our own clock is implausible.
    """

    reason = "clock"

    def __init__(self, message: str, *, offset: float | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class SecretError(AttemptError):
    """A secret is empty or cannot be read. No request was made; it is tried again when the secret changes."""

    reason = "config"


class InvalidParametersError(AttemptError):
    """The caller's parameters to `issue` are wrong: ``errors`` maps each field to its texts."""

    reason = "parameters"

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__("invalid parameters: " + ", ".join(sorted(errors)))
        self.errors = {field: tuple(texts) for field, texts in errors.items()}


# ------------------------------------------------------------------ what surrounds the attempts


class ConfigError(TokendError):
    """The configuration is wrong; nothing was changed. The message is complete: all errors, one after another."""

    reason = "config"


class SinkError(TokendError):
    """A token could not be written; the target is as it was. Retried by the publisher alone."""

    reason = "sink"


class StoreError(TokendError):
    """The state directory could not be read or written; the token in memory is untouched."""

    reason = "store"


class StateLockedError(StoreError):
    """Another instance holds the state directory; the message names it."""


# ------------------------------------------------------------------ what a reader may be told


class ReaderError(TokendError):
    """A reader's request that cannot be granted. ``code`` is the problem document's code, ``status`` its number.

    ``retry_at`` is Unix seconds of the earliest moment at which asking again makes sense, or None.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_at: float | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class UnknownTokenError(ReaderError):
    """No such token, or none that this peer may see: the two must not be told apart."""

    code, status = "unknown_token", 404


class DeniedError(ReaderError):
    """The peer may not do this."""

    code, status = "denied", 403


class NotSupportedError(ReaderError):
    """This kind of token cannot do this."""

    code, status = "not_supported", 405


class GenerationConflictError(ReaderError):
    """``if_generation`` is above the current generation: the caller's knowledge is not from this daemon."""

    code, status = "generation_conflict", 409


class ThrottledError(ReaderError):
    """The request would come too early: the floor, the allowance or the upstream's Retry-After forbids it."""

    code, status = "rate_limited", 429


class TokenUnavailableError(ReaderError):
    """There is no token that satisfies the request now."""

    code, status = "token_unavailable", 503


class LoginRequiredError(ReaderError):
    """There is no valid token, and only a person can change that (`rejected`, `login_required`)."""

    code, status = "login_required", 503


class WaitTimeoutError(ReaderError):
    """The wait ran out before there was an answer; the attempt goes on."""

    code, status = "timeout", 504
