"""Token endpoint of the OAuth 2 server: each grant type, and the answers (RFC 6749, 7523, 8628, 8693)."""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.hs256 import ISSUER_KEY, sign
from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.options import Options
from tokend.sandbox.vendors.oauth2_authorize import Authorization, scopes_of
from tokend.sandbox.vendors.oauth2_clients import Clients
from tokend.sandbox.vendors.oauth2_device import Devices
from tokend.sandbox.vendors.oauth2_grants import AccessToken, Grant, Grants
from tokend.sandbox.vendors.oauth2_metadata import API, GRANT_TYPES, ISSUER, origin
from tokend.sandbox.vendors.oauth2_parameters import NOT_STORED, OAuthError

DEFAULT_LIFE_SECONDS = 3600.0
_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"
_TOKEN_TYPES = {f"{_TOKEN_TYPE}{name}" for name in ("access_token", "jwt", "id_token")}


class TokenEndpoint:
    """Grant types by name. Not thread-safe: the vendor's lock is held around each call."""

    def __init__(
        self,
        options: Options,
        clock: SandboxClock,
        clients: Clients,
        grants: Grants,
        authorization: Authorization,
        devices: Devices,
    ) -> None:
        self._options, self._clock, self._clients = options, clock, clients
        self._grants, self._authorization, self._devices = grants, authorization, devices
        self._life = options.oauth2_ttl or options.ttl or DEFAULT_LIFE_SECONDS
        self._table: dict[str, Callable[[str, Mapping[str, str], dict[str, Any]], dict[str, Any]]] = {
            "client_credentials": self._client_credentials,
            "refresh_token": self._refresh_token,
            "authorization_code": self._authorization_code,
            "device_code": self._device_code,
            "token_exchange": self._token_exchange,
        }

    def answer(
        self,
        request: Request,
        given: Mapping[str, str],
        credentials: Mapping[str, str],
        audiences: Collection[str],
        note: dict[str, Any],
    ) -> Reply:
        """Answer one request for a token, and write into ``note`` what came of it. Raises `OAuthError`."""
        kind = GRANT_TYPES.get(given.get("grant_type", ""))
        if kind is None:
            code = "unsupported_grant_type" if "grant_type" in given else "invalid_request"
            raise OAuthError(code, "grant_type is missing or not known")
        note["grant_type"] = kind
        if given.get("resource") not in {None, origin(request) + API}:
            raise OAuthError("invalid_target", "the resource is not known")
        if kind == "jwt_bearer":
            answer = self._jwt_bearer(given, credentials, audiences)
        else:
            client, note["client_auth"] = self._clients.authenticate(request, given, credentials, audiences)
            if kind == "client_credentials" and note["client_auth"] == "none":
                raise OAuthError("unauthorized_client", "a client without a secret cannot ask for itself")
            if kind == "token_exchange" and given.get("subject_token") == credentials["subject_token"]:
                answer = self._exchanged(client, credentials["subject"], scopes_of(given))
            else:
                answer = self._table[kind](client, given, note)
        if "id_token" in answer:
            answer["id_token"]["iss"] = origin(request) + ISSUER
            answer["id_token"] = sign(answer["id_token"], ISSUER_KEY)
        note["answer"] = "granted"
        return json_reply(200, answer, headers=NOT_STORED)

    def _client_credentials(self, client: str, given: Mapping[str, str], _: dict[str, Any]) -> dict[str, Any]:
        return self._issue(client, client, scopes_of(given))

    def _refresh_token(self, client: str, given: Mapping[str, str], note: dict[str, Any]) -> dict[str, Any]:
        text = given.get("refresh_token")
        if text is None:
            raise OAuthError("invalid_request", "refresh_token is missing")
        asked = given.get("scope")
        known = self._grants.refresh_token(text)
        if known is not None:
            note.update(grant=known.grant.number, refresh_token=known.index, latest=known.grant.latest)
            if asked is not None and not set(asked.split()) <= set(known.grant.scopes):
                raise OAuthError("invalid_scope", "more than was granted")
        done = self._grants.refresh(text, client)
        note["reuse"] = done.answer == "reused"
        if done.answer != "granted" or done.grant is None:
            raise OAuthError("invalid_grant", "the refresh token is not acceptable")
        scopes = done.grant.scopes if asked is None else tuple(asked.split())
        if done.token is not None:
            note["new_refresh_token"] = done.grant.latest
        return self._issue(client, done.grant.subject, scopes, done.grant, done.token)

    def _authorization_code(self, client: str, given: Mapping[str, str], note: dict[str, Any]) -> dict[str, Any]:
        return self._first(client, self._authorization.redeem(given, client), note)

    def _device_code(self, client: str, given: Mapping[str, str], note: dict[str, Any]) -> dict[str, Any]:
        return self._first(client, self._devices.poll(given.get("device_code", ""), client), note)

    def _first(self, client: str, grant: Grant, note: dict[str, Any]) -> dict[str, Any]:
        note.update(grant=grant.number, new_refresh_token=grant.latest)
        return self._issue(client, grant.subject, grant.scopes, grant, grant.current)

    def _jwt_bearer(
        self, given: Mapping[str, str], credentials: Mapping[str, str], audiences: Collection[str]
    ) -> dict[str, Any]:
        try:
            claims, _ = self._clients.read_assertion(given.get("assertion", ""), credentials, audiences)
        except OAuthError as error:
            raise OAuthError("invalid_grant", error.description) from None
        if claims.get("iss") != credentials["client_id"] or not isinstance(claims.get("sub"), str):
            raise OAuthError("invalid_grant", "iss or sub is not acceptable")
        return self._issue(claims["iss"], claims["sub"], scopes_of(given))

    def _token_exchange(self, client: str, given: Mapping[str, str], _: dict[str, Any]) -> dict[str, Any]:
        if "subject_token" not in given or given.get("subject_token_type") not in _TOKEN_TYPES:
            raise OAuthError("invalid_request", "subject_token or subject_token_type is missing or not known")
        subject = self._grants.access_token(given["subject_token"])
        if subject is None:
            raise OAuthError("invalid_grant", "the subject token is not acceptable")
        scopes = scopes_of(given) if "scope" in given else subject.scopes
        if not set(scopes) <= set(subject.scopes):
            raise OAuthError("invalid_scope", "more than the subject token has")
        return self._exchanged(client, subject.subject, scopes)

    def _exchanged(self, client: str, subject: str, scopes: Sequence[str]) -> dict[str, Any]:
        return {**self._issue(client, subject, scopes), "issued_token_type": f"{_TOKEN_TYPE}access_token"}

    def _issue(
        self,
        client: str,
        subject: str,
        scopes: Sequence[str],
        grant: Grant | None = None,
        refresh_token: str | None = None,
    ) -> dict[str, Any]:
        """Return a token answer; an id_token in it is its claims, not signed yet."""
        now, options = self._clock.now(), self._options
        claims = {"sub": subject, "client_id": client, "scope": " ".join(scopes), "iat": int(now)}
        claims |= {"exp": int(now + self._life), "jti": secrets.token_hex(12)}
        text = sign(claims, ISSUER_KEY) if options.oauth2_jwt else f"sandbox-at-{secrets.token_urlsafe(24)}"
        self._grants.add_access(text, AccessToken(client, subject, tuple(scopes), now + self._life, grant))
        answer: dict[str, Any] = {"access_token": text, "token_type": "Bearer", "scope": " ".join(scopes)}
        if options.oauth2_expires_in != "none":
            seconds = max(1, round(self._life))
            answer["expires_in"] = str(seconds) if options.oauth2_expires_in == "string" else seconds
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        if grant is not None and grant.ends is not None:
            answer["refresh_token_expires_in"] = max(1, round(grant.ends - now))
        if grant is not None and "openid" in scopes:
            answer["id_token"] = {"iss": "", "aud": client, "sub": subject, "iat": int(now), "exp": claims["exp"]}
            answer["id_token"] |= {} if grant.nonce is None else {"nonce": grant.nonce}
        return answer
