"""Errors of the client, with their exit codes, and the class for each problem code of the daemon."""

# What an answer of another form raises where it is used. `UnicodeError` is a `ValueError`.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


class TokendError(Exception):
    """A request failed; the message gives the reason. ``code`` is the problem code, ``retry_at`` RFC 3339 or None.

    ``errors`` holds the single errors, if the daemon named them: a mapping of fields to texts (`issue`), or a list of
    objects with file, line, column and message (`reload`).
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        code: str = "internal",
        retry_at: "str | None" = None,
        errors: "dict[str, list[str]] | list[dict[str, str]] | None" = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_at = retry_at
        self.errors = errors


class BadRequestError(TokendError):
    """The request or its parameters are wrong. ``errors`` maps fields to texts if they are known."""

    exit_code = 2


class NotRunningError(TokendError):
    """There is no daemon at the socket."""

    exit_code = 3


class UnknownTokenError(TokendError):
    """There is no such token, or this user may not see it."""

    exit_code = 5


class DeniedError(TokendError):
    """This user may not make this request, or may not open the socket."""

    exit_code = 6


class UnavailableError(TokendError):
    """There is no valid token now."""

    exit_code = 7


class LoginRequiredError(UnavailableError):
    """There is no valid token, and a person must act."""

    exit_code = 4


class RateLimitedError(UnavailableError):
    """The request came too early; ``retry_at`` is the earliest time for the next one."""


class WaitTimeoutError(UnavailableError):
    """The wait ended without a result."""


class OriginError(TokendError):
    """An adapter was asked to send a token to an origin that is not the token's, or in clear. Nothing was sent."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(message, code="origin")


_ERRORS: "dict[str, type[TokendError]]" = {
    "bad_request": BadRequestError,
    "config_invalid": BadRequestError,
    "denied": DeniedError,
    "generation_conflict": BadRequestError,
    "login_required": LoginRequiredError,
    "not_acceptable": BadRequestError,
    "not_supported": BadRequestError,
    "rate_limited": RateLimitedError,
    "timeout": WaitTimeoutError,
    "token_unavailable": UnavailableError,
    "too_large": BadRequestError,
    "unknown_token": UnknownTokenError,
    "unsupported_media_type": BadRequestError,
}


def refusal(status: int, body: bytes) -> TokendError:
    """Return the error for an answer with ``status`` >= 400."""
    import json

    try:
        problem = json.loads(body)
        code, detail = str(problem["code"]), str(problem.get("detail") or problem.get("title"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return TokendError(f"the answer was {status} without tokend's reason: is it tokend that listens there?")
    kind = _ERRORS.get(code, TokendError)
    if kind is LoginRequiredError and detail.startswith("tokend login "):  # the detail is the command alone
        detail = f"a person has to log in: {detail}"
    return kind(detail, code=code, retry_at=_moment(problem.get("retry_at")), errors=_errors(problem.get("errors")))


def _moment(value: object) -> "str | None":
    """Return an RFC 3339 moment of a problem; None for anything else, which no pause can be computed from."""
    from datetime import datetime

    try:
        return value if isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None else None
    except ValueError:
        return None


def _errors(found: object) -> "dict[str, list[str]] | list[dict[str, str]] | None":
    """Return the single errors of a problem; those that have another form are left out."""
    if isinstance(found, dict):
        return {name: [str(text) for text in texts] for name, texts in found.items() if isinstance(texts, list)}
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else None


def unreadable(error: Exception, path: str) -> NotRunningError:
    """Return the error for an answer in which something is missing or of another type; ``error`` is what that raised.

    Its text is not shown: it may quote the answer, and so a token.
    """
    return NotRunningError(
        f"the answer from {path} cannot be read ({type(error).__name__}): is it tokend that listens there, and of this "
        "version?"
    )
