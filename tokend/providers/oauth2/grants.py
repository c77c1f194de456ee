"""Parameters of each grant's token request (RFC 6749, 7523, 8693)."""

from dataclasses import dataclass, field

from tokend.plugin.provider import Runtime
from tokend.plugin.text import text_of
from tokend.providers.oauth2.client_authentication import assertion_audience, signed_assertion
from tokend.providers.oauth2.endpoints import Endpoints
from tokend.providers.oauth2.requests import Value
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.providers.oauth2.words import GRANT_TYPES
from tokend.values.logins import Login
from tokend.values.secret import Secret

# Scopes that are about the login itself: they stay where a refresh asks for less.
OF_THE_LOGIN = ("openid", "offline_access", "profile", "email")
# The name under which a login keeps the scopes that it asked for.
ASKED = "scope"


@dataclass(frozen=True, slots=True)
class GrantParameters:
    """The parameters, the secrets among them, and when times among them were signed here (`Proof`)."""

    parameters: dict[str, Value] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    signed_at: float | None = None


async def grant_parameters(settings: OAuth2Settings, runtime: Runtime, server: Endpoints) -> GrantParameters:
    """Return the parameters of a grant without a login. Raises `SecretError`."""
    own = GrantParameters()
    if settings.grant == "jwt_bearer":
        own = await _jwt_bearer(settings, runtime, server)
    elif settings.grant == "token_exchange":
        own = await _token_exchange(settings, runtime)
    parameters = {"grant_type": GRANT_TYPES[settings.grant], **own.parameters, **scope(settings), **target(settings)}
    return GrantParameters({**parameters, **settings.token_parameters}, own.secrets, own.signed_at)


def refresh_parameters(settings: OAuth2Settings, login: Login) -> GrantParameters:
    """Return the parameters of a refresh. ``scope`` is sent where the table asks for less than was granted."""
    assert login.refresh_token is not None  # noqa: S101  (`WithLogin.refresh`)
    parameters: dict[str, Value] = {"grant_type": GRANT_TYPES["refresh_token"], "refresh_token": login.refresh_token}
    if (narrowed := _narrowed(settings, login)) is not None:
        parameters["scope"] = narrowed
    parameters |= resources(settings)
    kept = {"code_verifier": Secret(""), "redirect_uri": Secret(""), **login.parameters}
    more = {name: text.fill(kept) for name, text in settings.refresh_parameters.items()}
    verifier = login.parameters.get("code_verifier")
    secrets = (login.refresh_token, *(() if verifier is None else (verifier,)))
    return GrantParameters({**parameters, **settings.token_parameters, **more}, secrets)


def scope(settings: OAuth2Settings) -> dict[str, Value]:
    """Return the parameter ``scope``."""
    return {"scope": settings.scope_separator.join(settings.scope)} if settings.scope else {}


def resources(settings: OAuth2Settings) -> dict[str, Value]:
    """Return the parameter ``resource``, which RFC 8707 has in every request."""
    return {"resource": settings.resource} if settings.resource else {}


def target(settings: OAuth2Settings) -> dict[str, Value]:
    """Return the parameters that say whom the token is for."""
    audience: dict[str, Value] = {"audience": settings.audience} if settings.audience else {}
    return audience | resources(settings)


async def _jwt_bearer(settings: OAuth2Settings, runtime: Runtime, server: Endpoints) -> GrantParameters:
    if settings.assertion is not None:
        ready = await runtime.reveal(settings.assertion)
        return GrantParameters({"assertion": Secret(text_of(ready, "assertion"))}, (ready,))
    assert settings.private_key is not None  # noqa: S101  (`consistency`)
    key = await runtime.reveal(settings.private_key)
    audience, _ = assertion_audience(settings, server)
    claims = {**({} if settings.client_id is None else {"iss": settings.client_id}), "aud": audience, **settings.claims}
    now = runtime.upstream_now()
    signed = Secret(signed_assertion(settings, key, claims, now, header={}))
    return GrantParameters({"assertion": signed}, (key, signed), now.timestamp())


async def _token_exchange(settings: OAuth2Settings, runtime: Runtime) -> GrantParameters:
    assert settings.subject_token is not None  # noqa: S101  (`consistency`)
    subject = await runtime.reveal(settings.subject_token)
    parameters: dict[str, Value] = {
        "subject_token": Secret(text_of(subject, "subject_token")),
        "subject_token_type": settings.subject_token_type,
    }
    secrets: tuple[Secret, ...] = (subject,)
    if settings.actor_token is not None:
        actor = await runtime.reveal(settings.actor_token)
        parameters["actor_token"] = Secret(text_of(actor, "actor_token"))
        parameters["actor_token_type"] = settings.actor_token_type
        secrets = (subject, actor)
    if settings.requested_token_type is not None:
        parameters["requested_token_type"] = settings.requested_token_type
    return GrantParameters(parameters, secrets)


def _narrowed(settings: OAuth2Settings, login: Login) -> str | None:
    """Return the scopes to ask for where they are fewer than granted ones; None where a refresh names none."""
    granted, wanted = login.scopes or (), set(settings.scope)
    kept = login.parameters.get(ASKED)
    # What a server has added to what was asked for is no reason to name scopes.
    before = granted if kept is None else tuple(kept.reveal().split(" "))
    dropped = set(before) - wanted - set(OF_THE_LOGIN)
    if not wanted or not dropped or not wanted <= set(granted):
        return None
    return settings.scope_separator.join(one for one in granted if one in wanted or one in OF_THE_LOGIN)


def asked_scopes(settings: OAuth2Settings) -> dict[str, Secret]:
    """Return what a login keeps of the scopes that it asked for."""
    return {ASKED: Secret(" ".join(settings.scope))} if settings.scope else {}
