"""Metadata of servers: RFC 8414, OpenID Connect Discovery, and RFC 9728 for a resource that names its server.

No redirect is followed, and no secret is sent. A document is kept for a day; an older one serves while the server
cannot be reached.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeGuard
from urllib.parse import urlsplit

from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.login import RememberingRuntime
from tokend.plugin.provider import Runtime
from tokend.plugin.response_status import RATE_LIMITED, retry_after
from tokend.plugin.strict_json import try_object
from tokend.providers.oauth2.endpoints import Endpoints
from tokend.providers.oauth2.fields import is_endpoint
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.values.errors import AttemptError, RateLimitedError, RejectedError, ServerSettingsError, TransientError
from tokend.values.instant import Instant
from tokend.values.url import host_of

DAY_SECONDS = 86400.0
Need = Literal["token", "authorize", "device", "revoke"]
_OF_SERVERS, _OF_OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
_OF_RESOURCES = "/.well-known/oauth-protected-resource"
_MEMBERS = {
    "token": "token_endpoint",
    "authorize": "authorization_endpoint",
    "device": "device_authorization_endpoint",
    "revoke": "revocation_endpoint",
}
# All members of both documents that are looked at: the others would fill the state.
_USED = (
    "issuer", *_MEMBERS.values(), "pushed_authorization_request_endpoint", "require_pushed_authorization_requests",
    "authorization_response_iss_parameter_supported", "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported", "resource", "authorization_servers", "dpop_bound_access_tokens_required",
)  # fmt: skip
# Some servers answer so to a path that they do not know: another place may have the document.
_OF_UNKNOWN_PATHS = frozenset({500, 501})
# Only where it is missing is nothing left to do.
_OPTIONAL = frozenset({"revoke"})


async def endpoints_of(settings: OAuth2Settings, runtime: Runtime, need: Need = "token") -> Endpoints:
    """Return the server's endpoints. What is written counts before the metadata, which are asked for where needed.

    Raises `ServerSettingsError` where the metadata are another server's or lack an endpoint, and `TransientError`,
    not sent, where they cannot be had.
    """
    written = _written(settings)
    is_complete = bool(written.token_url) and (need == "token" or getattr(written, f"{need}_url") is not None)
    has_server = settings.issuer is not None or (settings.token_url is None and bool(settings.resource))
    if is_complete and (need != "authorize" or not has_server):
        return written
    if not has_server:
        return written  # `consistency` has seen to it that only the optional endpoint is missing
    try:
        return await discovered(settings, runtime, need)
    except (TransientError, RateLimitedError):
        if is_complete:
            return written
        raise


async def discovered(settings: OAuth2Settings, runtime: Runtime, need: Need) -> Endpoints:
    """Return the endpoints of the issuer that is written, or that the resource names, by its metadata."""
    issuer = settings.issuer or await _issuer_of_resource(settings.resource[0], runtime)
    urls = _urls_of_issuer(issuer)
    metadata = await _document(runtime, urls, "issuer", issuer, f"the metadata of the issuer {issuer}")
    return _with_metadata(_written(settings), metadata, need, settings)


async def _issuer_of_resource(resource: str, runtime: Runtime) -> str:
    found = await _document(runtime, _urls_of_resource(resource), "resource", resource, f"the metadata of {resource}")
    if found.get("dpop_bound_access_tokens_required") is True:
        raise ServerSettingsError(f"{host_of(resource)} demands DPoP, which tokend does not do")
    servers = found.get("authorization_servers")
    if not isinstance(servers, list) or not servers or not all(is_endpoint(one) for one in servers):
        raise ServerSettingsError(f"{host_of(resource)} names no authorization server: write issuer or token_url")
    if len(servers) > 1:
        hosts = ", ".join(host_of(one) for one in servers[:5])
        raise ServerSettingsError(f"{host_of(resource)} names several servers: write issuer to choose one ({hosts})")
    return str(servers[0])


def _urls_of_issuer(issuer: str) -> list[str]:
    origin, path = _split(issuer)
    places = [f"{origin}{_OF_SERVERS}{path}", f"{origin}{path}{_OF_OPENID}", f"{origin}{_OF_OPENID}{path}"]
    return list(dict.fromkeys(places))


def _urls_of_resource(resource: str) -> list[str]:
    origin, path = _split(resource)
    query = resource.partition("?")[2]
    places = [f"{origin}{_OF_RESOURCES}{path}{f'?{query}' if query else ''}", f"{origin}{_OF_RESOURCES}"]
    return list(dict.fromkeys(places))


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


async def _document(runtime: Runtime, urls: list[str], member: str, wanted: str, what: str) -> Mapping[str, Any]:
    """Return a document whose ``member`` is ``wanted``: a kept one of the last day, a new one, else the kept one."""
    key = f"{member} {wanted}"
    keeps = runtime if _keeps(runtime) else None
    kept = None if keeps is None else keeps.recall(key)
    old = kept.document if kept is not None and isinstance(kept.document, dict) else None
    if old is not None and not isinstance(old.get(member), str):
        old = None  # another version wrote it, or another program
    if kept is not None and old is not None and _is_recent(kept.at, runtime.clock.instant()):
        return old
    try:
        found = await _asked(runtime, urls, member, wanted, what)
    except RejectedError:
        raise
    except AttemptError:
        if old is None:
            raise
        return old
    used = {name: found[name] for name in _USED if name in found}
    if keeps is not None:
        await keeps.remember(key, used)
    return used


def _keeps(runtime: Runtime) -> TypeGuard[RememberingRuntime]:
    return hasattr(runtime, "recall")


def _is_recent(at: Instant, now: Instant) -> bool:
    return 0 <= (now.wall - at.wall).total_seconds() < DAY_SECONDS


async def _asked(runtime: Runtime, urls: list[str], member: str, wanted: str, what: str) -> Mapping[str, Any]:
    is_other = False
    for url in urls:
        host = host_of(url)
        try:
            reply = await runtime.exchange(UpstreamRequest("GET", url, {"Accept": "application/json"}))
        except TransientError as error:
            raise TransientError(error.detail, repeatable=error.repeatable, is_sent=False) from None
        if reply.status == RATE_LIMITED:
            raise RateLimitedError(f"{host} answered 429 for {what}", retry_after=retry_after(reply))
        if reply.status >= 500 and (reply.status not in _OF_UNKNOWN_PATHS or url == urls[-1]):
            raise TransientError(
                f"{host} answered {reply.status} for {what}",
                retry_after=retry_after(reply),
                repeatable=True,
                is_sent=False,
            )
        found = try_object(reply.body) if reply.status == 200 else None
        if found is not None and found.get(member) == wanted:
            return found
        is_other = is_other or (found is not None and isinstance(found.get(member), str))
    if is_other:
        raise ServerSettingsError(
            f"{host_of(urls[0])} answered with {what}, in which {member} differs: it must be the same, byte for byte"
        )
    raise TransientError(f"{host_of(urls[0])} answered without {what}: is {member} right?", is_sent=False)


def _written(settings: OAuth2Settings) -> Endpoints:
    return Endpoints(
        token_url=settings.token_url or "",
        issuer=settings.issuer,
        authorize_url=settings.authorize_url,
        device_url=settings.device_url,
        revoke_url=settings.revoke_url,
    )


def _with_metadata(written: Endpoints, metadata: Mapping[str, Any], need: Need, settings: OAuth2Settings) -> Endpoints:
    issuer = str(metadata["issuer"])
    found = {one: getattr(written, f"{one}_url") or _url(metadata, member, issuer) for one, member in _MEMBERS.items()}
    for one in ("token", need):
        if not found[one] and one not in _OPTIONAL:
            raise ServerSettingsError(f"the metadata of {host_of(issuer)} have no {_MEMBERS[one]}: write {one}_url")
    methods = metadata.get("code_challenge_methods_supported")
    if need == "authorize" and settings.pkce and isinstance(methods, list) and "S256" not in methods:
        raise ServerSettingsError(
            f"{host_of(issuer)} takes no PKCE with S256, which a login needs; pkce = false omits it"
        )
    takes = metadata.get("token_endpoint_auth_methods_supported")
    return Endpoints(
        token_url=found["token"] or "",
        issuer=issuer,
        authorize_url=found["authorize"],
        device_url=found["device"],
        revoke_url=found["revoke"],
        par_url=_url(metadata, "pushed_authorization_request_endpoint", issuer),
        demands_par=metadata.get("require_pushed_authorization_requests") is True,
        demands_iss=metadata.get("authorization_response_iss_parameter_supported") is True,
        auth_methods=tuple(one for one in takes if isinstance(one, str)) if isinstance(takes, list) else None,
    )


def _url(metadata: Mapping[str, Any], member: str, issuer: str) -> str | None:
    """Return an endpoint of the metadata; None if there is none. Raises `ServerSettingsError` for an unsafe one."""
    value = metadata.get(member)
    if value is None:
        return None
    if not is_endpoint(value):
        raise ServerSettingsError(f"the metadata of {host_of(issuer)}: {member} is no https:// URL")
    return str(value)
