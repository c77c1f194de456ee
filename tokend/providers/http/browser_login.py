"""A login with a browser: the address that a person opens, and the one request with what comes back."""

import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from tokend.plugin.declared.built_in_names import Moment
from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.request_names import needed_by
from tokend.plugin.declared.signed_request import Names
from tokend.plugin.login import BrowserLogin, RememberingRuntime
from tokend.plugin.login_redirect import chosen_redirect, parameters_of
from tokend.plugin.vendor_words import cleaned
from tokend.providers.http.granting import ask_once, granted_of
from tokend.providers.http.login_settings import REDIRECT, STATE, LoginSettings
from tokend.providers.http.refusals import raise_refusal
from tokend.providers.http.settings import HttpSettings
from tokend.values.errors import LoginRefusedError, WrongStateError
from tokend.values.logins import Granted
from tokend.values.secret import Secret

# 256 bits.
RANDOM_BYTES = 32


async def begin_in_browser(
    settings: HttpSettings, login: LoginSettings, runtime: RememberingRuntime, proposed: str | None
) -> BrowserLogin:
    """Return the address that a person opens, and what belongs to it. ``proposed`` is where the command listens."""
    state = Secret(secrets.token_urlsafe(RANDOM_BYTES))
    written = None if login.redirect_uri is None else str(login.redirect_uri.fill({STATE: state}, {}))
    # A vendor that does not get the redirect sends the browser where it is registered.
    redirect = chosen_redirect(written, proposed if REDIRECT in login.url.names else None)
    given: dict[str, Value] = {STATE: state, REDIRECT: redirect}
    used = needed_by(login.url.names, settings.values)
    for name, source in settings.named_secrets.items():
        if name in used:
            given[name] = await runtime.reveal(source)
    url = login.url.fill(Names(settings.values, given, Moment(runtime.upstream_now())), {})
    return BrowserLogin(str(url), redirect, state, verifier=None, returns_state=login.returns_state)


async def finish_in_browser(
    settings: HttpSettings, login: LoginSettings, runtime: RememberingRuntime, begun: BrowserLogin, redirected_to: str
) -> Granted:
    """Send the request with the parameters of the address at which the browser has ended.

    Raises `WrongStateError` for an address of another login, `LoginRefusedError` for one that ends this one.
    """
    given = parameters_of(redirected_to, begun.redirect_uri)
    if begun.returns_state:
        _require_state(given, begun)
    if "error" in given and not all(map(given.get, login.callback)):
        refusal = LoginRefusedError("the login was refused: the browser ended with an error")
        refusal.said = cleaned(given.get("error_description") or given["error"], [begun.state])
        raise refusal
    if (lacking := next((name for name in login.callback if not given.get(name)), None)) is not None:
        raise WrongStateError(f"the address holds no {lacking}: is it the one at which the browser has ended?")
    held: dict[str, Value] = {f"login.{name}": Secret(given[name]) for name in login.callback}
    held[f"login.{REDIRECT}"] = begun.redirect_uri
    answered = await ask_once(settings, runtime, settings.request, held)
    if not answered.found.is_granted:
        raise_refusal(answered)
    return granted_of(settings, answered)


def _require_state(given: Mapping[str, str], begun: BrowserLogin) -> None:
    """Refuse an address without the state. In the path of the redirect it was compared already."""
    if begun.state.reveal() in urlsplit(begun.redirect_uri).path:
        return
    values = [given[STATE]] if STATE in given else [*given.values()]
    found = [hmac.compare_digest(one.encode("utf-8", "replace"), begun.state.reveal_bytes()) for one in values]
    if not any(found):
        raise WrongStateError("the address belongs to another login: its state is not the one of this login")
