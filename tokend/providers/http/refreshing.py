"""Logins of kind ``http``: begun by the credentials alone, refreshed by ``renew``, and the harmless request."""

from typing import NoReturn

from tokend.plugin.declared.unfit_values import UnfitValueError
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.login import RememberingRuntime
from tokend.plugin.response_status import refused_twice
from tokend.providers.http.attempt_time import AttemptTime
from tokend.providers.http.exchange import Answered, ask
from tokend.providers.http.granting import granted_of, send_once
from tokend.providers.http.kept_token import kept_token
from tokend.providers.http.names import is_of_token
from tokend.providers.http.refusals import raise_refusal, raise_unless_refused, refuses_credentials
from tokend.providers.http.renewing import make_renewal
from tokend.providers.http.settings import HttpSettings, RenewSettings
from tokend.values.errors import (
    AttemptError,
    LoginRefusedError,
    PersonNeededError,
    RejectedError,
    TransientError,
)
from tokend.values.logins import Granted, Login
from tokend.values.url import host_of, origin_of


class RenewRefusedError(LoginRefusedError):
    """The server refused ``renew``; ``is_final``: it refused the credentials, and has to refuse them only once more."""

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


class RenewalOverError(LoginRefusedError):
    """The login cannot be renewed, and the full request follows in the same attempt, which ``began`` before.

    ``is_second``: the server has refused the credentials, so that another refusal is the second one.
    """

    def __init__(self, error: AttemptError, began: AttemptTime) -> None:
        super().__init__(f"{error.detail}: the full request follows")
        self.began = began
        self.is_second = isinstance(error, RenewRefusedError) and error.is_final


async def begin_alone(
    settings: HttpSettings, runtime: RememberingRuntime, refused: LoginRefusedError | None
) -> Granted:
    """Send the full request: no person is needed. ``refused`` is what has ended the login in this attempt."""
    over = refused if isinstance(refused, RenewalOverError) else None
    began = None if over is None else over.began
    answered = await ask(settings, runtime, settings.request, {}, None, began=began)
    if not answered.found.is_granted:
        raise_needing_person(answered, is_second=over is not None and over.is_second)
    return granted_of(settings, answered)


def raise_needing_person(answered: Answered, *, is_second: bool = False) -> NoReturn:
    """Raise the error of a request without a login: a person who is wanted has to act at the upstream.

    ``is_second``: the server has refused the credentials in this attempt already, and a second refusal is final.
    """
    try:
        raise_refusal(answered)
    except LoginRefusedError as error:
        wanted = PersonNeededError(error.detail)
        wanted.said = error.said
        raise wanted from None
    except RejectedError as error:
        if not is_second:
            raise
        raise refused_twice(error, "renew") from None


async def refresh_login(
    settings: HttpSettings, renew: RenewSettings, runtime: RememberingRuntime, login: Login
) -> Granted:
    """Refresh a login by ``renew``. What it sends goes to the origin that issued it only."""
    origin = origin_of(renew.url.origin)
    if login.origin is not None and origin != login.origin:
        raise LoginRefusedError(
            f"the login is of {login.origin}, and renew.url is at {origin}: a refresh token is sent nowhere else"
        )
    previous = kept_token(login)
    if previous is None and any(is_of_token(name) for name in settings.names_of_renewal):
        raise LoginRefusedError("renew needs the token held, and the login has none")
    began = AttemptTime.begin(runtime)
    try:
        made = await make_renewal(settings, runtime, renew, previous, began, login.refresh_token)
        answered = await send_once(settings, runtime, made)
        if not answered.found.is_granted:
            _refuse(settings, answered)
        granted = granted_of(settings, answered, previous=previous, is_refresh=True)
    except AttemptError as error:
        raise _meaning(settings, error, began) from None
    if settings.begins_login and granted.refresh_token is None and granted.fault is not None:
        raise RenewalOverError(granted.fault, began)
    return granted


def _meaning(settings: HttpSettings, error: AttemptError, began: AttemptTime) -> AttemptError:
    """Return what the error of `renew` means.

    Where the full request needs no person, it follows a refusal, a void answer, and a `renew` that cannot be made. Else
    such a `renew` takes another login: waiting does not change what the present one keeps. A secret that cannot be
    read, a clock and a counter are no reason to give a login up: the attempt fails.
    """
    is_void = isinstance(error, TransientError) and error.is_void
    if settings.begins_login and (is_void or isinstance(error, UnfitValueError | LoginRefusedError)):
        return RenewalOverError(error, began)
    if isinstance(error, UnfitValueError):
        return LoginRefusedError(f"renew cannot be made of this login: {error.detail}")
    return error


def _refuse(settings: HttpSettings, answered: Answered) -> NoReturn:
    """Raise the error of a refresh that grants nothing.

    A status that refuses credentials refuses those of the login. Where the full request needs no person, it follows
    whatever is a refusal.
    """
    found, sent = answered.found, answered.sent
    status = found.reply.status
    if settings.begins_login:
        raise_unless_refused(answered)
        is_final = refuses_credentials(answered)
        raise RenewRefusedError(f"{sent.host} answered {status}: renew is refused", is_final=is_final)
    try:
        raise_refusal(answered)
    except RejectedError as error:
        if found.row is None:
            refused = LoginRefusedError(f"{error.detail}: the server refuses the login")
            refused.said = error.said
            raise refused from None
        raise
    except TransientError as error:
        error.may_be_spent = found.row is None and (status >= 500 or 300 <= status < 400 or found.is_page)
        raise


async def ask_something_harmless(settings: HttpSettings, runtime: RememberingRuntime) -> None:
    """Send a HEAD for the root of the server. Any answer below 500 shows that the server is there."""
    url = f"{settings.request.url.origin}/"
    reply = await runtime.exchange(UpstreamRequest("HEAD", url, {"Accept": "*/*"}))
    if reply.status >= 500:
        raise TransientError(f"{host_of(url)} answered {reply.status} to a harmless request", repeatable=True)
