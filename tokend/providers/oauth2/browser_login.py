"""A login with a browser: the authorization request with PKCE, and the exchange of the code.

RFC 6749, 4.1; RFC 7636 (PKCE), 9126 (pushed requests), 9207 (the issuer of an answer).
"""

import base64
import hashlib
import hmac
import secrets

from tokend.plugin.login import BrowserLogin, RememberingRuntime
from tokend.plugin.login_redirect import chosen_redirect, parameters_of
from tokend.plugin.vendor_words import cleaned
from tokend.providers.oauth2.answers import Answer
from tokend.providers.oauth2.discovery import endpoints_of
from tokend.providers.oauth2.endpoints import Endpoints
from tokend.providers.oauth2.exchange import ask
from tokend.providers.oauth2.granting import granted_of
from tokend.providers.oauth2.grants import GrantParameters, asked_scopes, resources, scope, target
from tokend.providers.oauth2.refusals import refuse
from tokend.providers.oauth2.requests import Value, with_query
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.providers.oauth2.tokens import claims_of
from tokend.providers.oauth2.words import KNOWN_CODES
from tokend.values.errors import LoginRefusedError, ServerSettingsError, TransientError, WrongStateError
from tokend.values.logins import Granted
from tokend.values.secret import Secret

# 256 bits; the verifier has 43 characters or more (RFC 7636, 4.1).
RANDOM_BYTES = 32


async def begin_in_browser(settings: OAuth2Settings, runtime: RememberingRuntime, proposed: str | None) -> BrowserLogin:
    """Return the URL that a person opens, and what belongs to it. ``proposed`` is where the command listens."""
    server = await endpoints_of(settings, runtime, "authorize")
    assert server.authorize_url is not None  # noqa: S101  (`endpoints_of`)
    redirect = chosen_redirect(settings.redirect_uri, proposed)
    state, verifier, nonce = (Secret(secrets.token_urlsafe(RANDOM_BYTES)) for _ in range(3))
    asked: dict[str, Value] = {**scope(settings), **target(settings), **settings.login_parameters}
    asked |= {"response_type": "code", "redirect_uri": redirect, "state": state}
    if settings.pkce:
        asked |= {"code_challenge": _challenge(verifier), "code_challenge_method": "S256"}
    has_nonce = "openid" in settings.scope
    if has_nonce:
        asked["nonce"] = nonce
    name: dict[str, Value] = {"client_id": settings.client_id or ""}
    if server.demands_par:
        asked = {"request_uri": await _pushed(settings, runtime, server, {**name, **asked})}
    return BrowserLogin(
        url=str(with_query(server.authorize_url, {**name, **asked})),
        redirect_uri=redirect,
        state=state,
        verifier=verifier if settings.pkce else None,
        nonce=nonce if has_nonce else None,
    )


async def finish_in_browser(
    settings: OAuth2Settings, runtime: RememberingRuntime, begun: BrowserLogin, redirected_to: str
) -> Granted:
    """Exchange the code of the address at which the browser has ended.

    Raises `WrongStateError` for an address of another login, `LoginRefusedError` for one that ends this one.
    """
    given = parameters_of(redirected_to, begun.redirect_uri)
    if not hmac.compare_digest(given.get("state", "").encode("utf-8", "replace"), begun.state.reveal_bytes()):
        raise WrongStateError("the address belongs to another login: its state is not the one of this login")
    server = await endpoints_of(settings, runtime, "authorize")
    _compare_issuer(server, given)
    if "error" in given:
        code = given["error"]
        refusal = LoginRefusedError(f"the login was refused: {code if code in KNOWN_CODES else 'an unknown error'}")
        refusal.said = cleaned(given.get("error_description", ""), [begun.state])
        raise refusal
    if not given.get("code"):
        raise WrongStateError("the address holds no code: is it the one at which the browser has ended?")
    code_secret = Secret(given["code"])
    parameters: dict[str, Value] = {
        "grant_type": "authorization_code",
        "code": code_secret,
        "redirect_uri": begun.redirect_uri,
    }
    kept = {"redirect_uri": Secret(begun.redirect_uri), **asked_scopes(settings)}
    if begun.verifier is not None:
        parameters["code_verifier"] = kept["code_verifier"] = begun.verifier
    parameters |= {**resources(settings), **settings.token_parameters}
    secret = (code_secret, *((begun.verifier,) if begun.verifier is not None else ()))
    own = GrantParameters(parameters, secret)
    answered = await ask(settings, runtime, server, own, is_of_login=True, may_spend=True, is_begun=True)
    granted = granted_of(settings, answered, server.token_url, parameters=kept)
    _check_id_token(settings, server, answered.answer, begun)
    return granted


def _challenge(verifier: Secret) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.reveal_bytes()).digest()).rstrip(b"=").decode()


async def _pushed(
    settings: OAuth2Settings, runtime: RememberingRuntime, server: Endpoints, asked: dict[str, Value]
) -> str:
    """Push the request (RFC 9126), and return the name that the server gives it."""
    if server.par_url is None:
        raise ServerSettingsError("the server demands pushed requests, and its metadata name no endpoint for them")
    hidden = tuple(value for value in asked.values() if isinstance(value, Secret))
    answered = await ask(settings, runtime, server, GrantParameters(asked, hidden), url=server.par_url)
    answer = answered.answer
    if not 200 <= answer.reply.status < 300 or answer.row is not None or not isinstance(answer.document, dict):
        refuse(answer, answered.sent)
    found = answer.document.get("request_uri")
    if not isinstance(found, str) or not found or not found.isascii() or not found.isprintable():
        raise TransientError(f"{answered.sent.host} answered without a request_uri")
    return found


def _compare_issuer(server: Endpoints, given: dict[str, str]) -> None:
    """Refuse the answer of another server before the code is sent anywhere (RFC 9207)."""
    if server.issuer is None:
        return
    said = given.get("iss")
    if said is None and server.demands_iss:
        raise LoginRefusedError("the answer names no issuer, which the server's metadata promise: nothing was sent")
    if said is not None and said != server.issuer:
        raise LoginRefusedError("the answer is of another issuer than the one that was asked: nothing was sent")


def _check_id_token(settings: OAuth2Settings, server: Endpoints, answer: Answer, begun: BrowserLogin) -> None:
    """Refuse an ID token of another login, client or issuer (OpenID Connect Core, 3.1.3.7)."""
    claims = claims_of(answer.document.get("id_token") if isinstance(answer.document, dict) else None)
    if not claims:
        return
    if begun.nonce is not None and claims.get("nonce") != begun.nonce.reveal():
        raise LoginRefusedError("the ID token is not of this login: its nonce is another one")
    audience = claims.get("aud")
    if settings.client_id not in (audience if isinstance(audience, list) else [audience]):
        raise LoginRefusedError("the ID token is for another client")
    if server.issuer is not None and claims.get("iss") != server.issuer:
        raise LoginRefusedError("the ID token is of another issuer")
