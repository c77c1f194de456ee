"""Consequences of an attempt, in plain words: the tables of `engine.policy`, as sentences."""

from tokend.cli.token_rows import describe_seconds
from tokend.cli.try_offline.attempt import Tried
from tokend.engine.policy.failure import Repeat, meaning_of
from tokend.engine.policy.login_advice import login_advice, login_command
from tokend.engine.policy.login_outcome import Outcome, outcome_of
from tokend.engine.policy.refresh_timing import lead_seconds, refresh_moment
from tokend.plugin.settings import HeldSettings, ProviderSettings
from tokend.values.errors import (
    AttemptError,
    ClockError,
    InvalidParametersError,
    LoginRefusedError,
    RateLimitedError,
    RejectedError,
    RejectedTwiceError,
    SecretError,
    TransientError,
)
from tokend.values.tokens import Token

EXIT_WRONG_PARAMETERS, EXIT_A_PERSON, EXIT_NO_TOKEN, EXIT_OTHER = 2, 4, 7, 1


def exit_code(tried: Tried) -> int:
    """Return 0 for a token, 4 where a person must act, 2 for a caller's wrong parameters, 7 for no token, else 1."""
    if isinstance(tried.error, InvalidParametersError):
        return EXIT_WRONG_PARAMETERS
    if tried.is_unanswered or tried.bug is not None or not tried.exchanges:
        return EXIT_OTHER
    if isinstance(tried.error, RejectedError | LoginRefusedError):
        return EXIT_A_PERSON
    return 0 if tried.error is None and tried.token is not None else EXIT_NO_TOKEN


def outcome_word(tried: Tried) -> str:
    """Return the outcome as one stable word: token, the class of the error, no_token, no_reply, or bug."""
    if tried.is_unanswered:
        return "no_reply"
    if tried.bug is not None:
        return "bug"
    if tried.error is not None:
        return tried.error.reason
    return "token" if tried.token is not None else "no_token"


def after_token(settings: ProviderSettings, token: Token) -> str:
    """Say when a newer token is fetched."""
    if not isinstance(settings, HeldSettings):
        return "it is handed to the caller, and not kept"
    lead = lead_seconds(token, lead=settings.refresh_before, minimum_lead_seconds=settings.minimum_lead_seconds)
    moment = refresh_moment(token, lead_seconds=lead, jitter=0.0, max_age_seconds=settings.max_age_seconds)
    if moment is None:
        return "it has no end: no timer fetches a newer one"
    after = describe_seconds(token.issued_at.until(moment))
    return f"a newer one is fetched after {after}, or up to 5 % of its life sooner"


def after_error(name: str, settings: ProviderSettings, tried: Tried, error: AttemptError) -> str:
    """Say what follows a failure, and what it means for the login if there is one."""
    if tried.way == "issue" or not isinstance(settings, HeldSettings):
        return _of_call(error)
    if tried.way == "login":
        return f"the login has not come about: a person begins again with {login_command(name)}"
    if tried.way == "refresh" and tried.granted is None:
        return _of_login(name, settings, error)
    return f"{_saved(tried)}{_of_fetch(name, settings, error)}"


def _saved(tried: Tried) -> str:
    return "" if tried.granted is None else "the login is kept, and only the token is discarded; "


def _of_call(error: AttemptError) -> str:
    meaning = meaning_of(error)
    if isinstance(error, InvalidParametersError):
        return "the caller gets a 400 that names the wrong parameters"
    if meaning.is_refusal:
        return "a second refusal in a row sets the state rejected; then a caller's query is sent as a probe, ever rarer"
    if meaning.pauses_host:
        return f"the caller gets an error; every provider of the host pauses{_asked(error)}"
    if meaning.repeat is Repeat.AFTER_A_PAUSE:
        return "the call is repeated, at most twice, 0.5 s and 1 s later; then the caller gets an error"
    return "the caller gets an error; the call is not repeated, since it may have had its effect"


def _of_login(name: str, settings: HeldSettings, error: AttemptError) -> str:
    outcome = outcome_of(error)
    if outcome is Outcome.REFUSED:
        return (
            "the login has ended: a refresh token that was accepted before is sent once more; then the state is "
            f"login_required, no timer sends anything, and {login_advice(name, settings).clause}"
        )
    if outcome is Outcome.CLIENT_REFUSED:
        return f"the login stays; {_of_fetch(name, settings, error)}"
    if outcome is Outcome.LOST:
        return (
            "the refresh token may be spent: after 5 s something harmless is asked, then it is sent again, "
            "ever more rarely; only an answer ends the login"
        )
    spent = isinstance(error, TransientError) and error.may_be_spent
    final = ", but the next refusal is final: the refresh token may be spent" if spent else ""
    return f"the login stays{final}; {_of_fetch(name, settings, error)}"


def _of_fetch(name: str, settings: HeldSettings, error: AttemptError) -> str:
    meaning = meaning_of(error)
    if isinstance(error, RejectedError) and error.reason == LoginRefusedError.reason:
        return f"a person has to act at the upstream; no timer tries again until then: tokend refresh {name}"
    after = f"no timer tries again until a secret or the table changes, or on tokend refresh {name}"
    if isinstance(error, RejectedTwiceError):
        return f"the state is rejected: {after}"
    if isinstance(error, RejectedError):
        return f"credentials that brought a token before are tried once more; then the state is rejected, and {after}"
    if isinstance(error, ClockError) and error.offset is not None:
        return "tried once more with the offset of the upstream's clock; a second refusal sets the state rejected"
    if isinstance(error, LoginRefusedError):
        return f"the state is login_required: {login_advice(name, settings).clause}"
    if meaning.pauses_host:
        return f"every provider of the host pauses{_asked(error)}, then this one tries again"
    if isinstance(error, SecretError):
        return "nothing was sent; tried again when the secret changes, or by backoff"
    return f"tried again by backoff, after 5 s at first and after 5 min at most{_asked(error, within=True)}"


def _asked(error: AttemptError, *, within: bool = False) -> str:
    seconds = error.retry_after if isinstance(error, RateLimitedError | TransientError) else None
    if seconds is None:
        return ""
    return f", and not before {seconds:g} s within that" if within else f" for {seconds:g} s, as it asked"
