"""Authorization with a browser: pushed requests, the consent page, codes and PKCE (RFC 6749, 7636, 9126, 9207)."""

import base64
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.options import is_loopback
from tokend.sandbox.vendors import oauth2_pages as pages
from tokend.sandbox.vendors.oauth2_grants import Grant, Grants
from tokend.sandbox.vendors.oauth2_metadata import ISSUER, SCOPES, origin
from tokend.sandbox.vendors.oauth2_parameters import NOT_STORED, OAuthError, once

PAGE = f"{ISSUER}/authorize"
CODE_SECONDS = 60
_PUSHED = "urn:ietf:params:oauth:request_uri:"
_MOST = 1000  # open requests, pushed requests and codes; the oldest is dropped first
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True, repr=False)
class _Asked:
    """A request that a person has to decide."""

    client: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None
    challenge: str | None
    nonce: str | None


@dataclass(slots=True, repr=False)
class _Code:
    asked: _Asked
    grant: Grant
    ends: float
    used: bool = False


class Authorization:
    """Requests and codes in memory. Not thread-safe: the vendor's lock is held around each call."""

    def __init__(self, clock: SandboxClock, grants: Grants, *, pushed_only: bool) -> None:
        self._clock, self._grants, self._pushed_only = clock, grants, pushed_only
        self._pushed: OrderedDict[str, tuple[float, dict[str, str]]] = OrderedDict()
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    def push(self, client: str, given: Mapping[str, str], clients: Collection[str]) -> Reply:
        """Keep the parameters of a client that has authenticated, for a minute."""
        if "request_uri" in given:
            raise OAuthError("invalid_request", "a pushed request has no request_uri")
        kept = {**given, "client_id": client}
        _read(kept, clients)
        name = _PUSHED + secrets.token_urlsafe(24)
        _keep(self._pushed, name, (self._clock.now() + CODE_SECONDS, kept))
        return json_reply(201, {"request_uri": name, "expires_in": CODE_SECONDS}, headers=NOT_STORED)

    def ask(self, request: Request, clients: Collection[str], account: str) -> Reply:
        """Show the consent page, or an error: to the client where its address is in order, else to the person."""
        try:
            given = self._parameters(once(request.query))
            _address(given, clients)
        except OAuthError as error:
            return pages.says("This request is wrong", f"{error.code}: {error.description}", status=400)
        try:
            asked = _read(given, clients)
        except OAuthError as error:
            return _back(request, given["redirect_uri"], given.get("state"), {"error": error.code})
        number = secrets.token_urlsafe(24)
        _keep(self._asked, number, asked)
        return pages.form(PAGE, asked.client, [("request", number)], account, asked.scopes)

    def decide(self, request: Request, note: dict[str, Any]) -> Reply:
        """Take the person's answer and send the browser back to the client."""
        fields = parse_qs(request.body.decode("utf-8", "replace"))
        asked = self._asked.pop(fields.get("request", [""])[0], None)
        if asked is None:
            return pages.says("This request is over", "Begin again in the application.", status=400)
        account = fields.get("account", [""])[0]
        if fields.get("decision") != ["allow"] or not account:
            return _back(request, asked.redirect_uri, asked.state, {"error": "access_denied"})
        scopes = [scope for scope in asked.scopes if scope in fields.get("scope", [])]
        grant = self._grants.begin(asked.client, account, scopes, nonce=asked.nonce)
        note["grant"] = grant.number
        code = "sandbox-code-" + secrets.token_urlsafe(24)
        _keep(self._codes, code, _Code(asked, grant, self._clock.now() + CODE_SECONDS))
        return _back(request, asked.redirect_uri, asked.state, {"code": code})

    def redeem(self, given: Mapping[str, str], client: str) -> Grant:
        """Return the grant of a code. A code that comes twice ends its grant (RFC 6749, section 4.1.2)."""
        code = self._codes.get(given.get("code", ""))
        if code is None or code.asked.client != client:
            raise OAuthError("invalid_grant", "the code is not known")
        if code.used:
            self._grants.end(code.grant.number, "code reused")
            raise OAuthError("invalid_grant", "the code was used before")
        code.used = True
        if code.ends <= self._clock.now():
            raise OAuthError("invalid_grant", "the code has expired")
        if given.get("redirect_uri") != code.asked.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri is another one")
        if not _proves(given.get("code_verifier"), code.asked.challenge):
            raise OAuthError("invalid_grant", "the code verifier is wrong")
        return code.grant

    def _parameters(self, given: dict[str, str]) -> dict[str, str]:
        name = given.get("request_uri")
        if name is None:
            if self._pushed_only:
                raise OAuthError("invalid_request", "the request must be pushed first")
            return given
        ends, kept = self._pushed.pop(name, (0.0, {}))
        if ends <= self._clock.now() or kept.get("client_id") != given.get("client_id"):
            raise OAuthError("invalid_request_uri", "request_uri is not known, or its time is over")
        return kept


def scopes_of(given: Mapping[str, str]) -> tuple[str, ...]:
    """Return the scopes that are asked for, "read write" without any."""
    asked = tuple(given.get("scope", "read write").split())
    if not set(asked) <= set(SCOPES):
        raise OAuthError("invalid_scope", f"the scopes are {' '.join(SCOPES)}")
    return asked


def _address(given: Mapping[str, str], clients: Collection[str]) -> None:
    """Raise unless client and redirect are in order: without that, nothing is sent there."""
    if given.get("client_id") not in clients:
        raise OAuthError("invalid_client", "the client is not known")
    try:
        uri = urlsplit(given.get("redirect_uri", ""))
        port_is_given = uri.scheme == "http" or uri.port is not None
    except ValueError:
        raise OAuthError("invalid_request", "redirect_uri is no URL") from None
    if uri.scheme not in {"http", "https"} or not is_loopback(uri.hostname or "") or not port_is_given or uri.fragment:
        raise OAuthError("invalid_request", "redirect_uri must be a loopback address")


def _read(given: Mapping[str, str], clients: Collection[str]) -> _Asked:
    _address(given, clients)
    if given.get("response_type") != "code":
        raise OAuthError("unsupported_response_type")
    challenge, method = given.get("code_challenge"), given.get("code_challenge_method", "plain")
    if challenge is not None and (method != "S256" or not _CHALLENGE.fullmatch(challenge)):
        raise OAuthError("invalid_request", "PKCE with S256 only")
    state, nonce = given.get("state"), given.get("nonce")
    return _Asked(given["client_id"], given["redirect_uri"], scopes_of(given), state, challenge, nonce)


def _proves(verifier: str | None, challenge: str | None) -> bool:
    if challenge is None or verifier is None:
        return challenge is None and verifier is None
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return _VERIFIER.fullmatch(verifier) is not None and hmac.compare_digest(digest, challenge.encode())


def _back(request: Request, redirect_uri: str, state: str | None, answer: Mapping[str, str]) -> Reply:
    query = {**answer, **({} if state is None else {"state": state}), "iss": origin(request) + ISSUER}
    return pages.redirect(f"{redirect_uri}{'&' if urlsplit(redirect_uri).query else '?'}{urlencode(query)}")


def _keep(memory: "OrderedDict[str, Any]", key: str, value: object) -> None:
    memory[key] = value
    if len(memory) > _MOST:
        memory.popitem(last=False)
