"""An OAuth 2 authorization server with two clients, pages for a person's browser, and one protected resource.

Its issuer is ``/oauth2``; `oauth2_metadata` names all endpoints. The journal says of each request for a token what was
asked, which refresh token came (by its index) and what was answered: never a token.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options
from tokend.sandbox.vendors.oauth2_authorize import Authorization
from tokend.sandbox.vendors.oauth2_clients import Clients
from tokend.sandbox.vendors.oauth2_device import Devices
from tokend.sandbox.vendors.oauth2_grants import Grants, Rotation
from tokend.sandbox.vendors.oauth2_metadata import (
    API,
    ISSUER,
    OF_OPENID,
    OF_RESOURCE,
    OF_SERVER,
    metadata,
    origin,
    resource_metadata,
)
from tokend.sandbox.vendors.oauth2_parameters import OAuthError, parameters
from tokend.sandbox.vendors.oauth2_token import TokenEndpoint

TOKEN = f"{ISSUER}/token"
_STATUSES = {"invalid_client": 401, "server_error": 500, "temporarily_unavailable": 503, "slow_down": 400}
_ERRORS = {429: "slow_down", 503: "temporarily_unavailable"}


class OAuth2:
    """The server. The credentials are those of its clients; what persons have granted is in memory."""

    name = "oauth2"
    paths: ClassVar[tuple[str, ...]] = (
        f"GET {OF_SERVER[0]}",
        f"GET {OF_OPENID[0]}",
        f"GET {OF_RESOURCE}",
        f"POST {TOKEN}",
        f"POST {ISSUER}/device_authorization",
        f"POST {ISSUER}/revoke",
        f"POST {ISSUER}/par",
        f"GET {ISSUER}/authorize",
        f"GET {ISSUER}/device",
        f"GET {API}",
    )

    def __init__(self, options: Options, clock: SandboxClock) -> None:
        key = "" if options.oauth2_public_key is None else Path(options.oauth2_public_key).read_text("ascii")
        self.credentials: Mapping[str, str] = {
            "client_id": options.oauth2_client_id,
            "client_secret": options.oauth2_client_secret,
            "public_client_id": options.oauth2_public_client_id,
            "public_key": key,
            "subject": options.oauth2_subject,
            "subject_token": options.oauth2_subject_token,
        }
        self._options, self._lock = options, threading.Lock()
        rotation, life = cast("Rotation", options.oauth2_rotation), options.oauth2_refresh_ttl
        self._grants = Grants(clock, rotation, options.oauth2_grace, life, options.oauth2_refresh_ttl_from)
        self._clients = Clients(clock, options.oauth2_client_auth)
        self._authorization = Authorization(clock, self._grants, pushed_only=options.oauth2_require_par)
        self._devices = Devices(
            clock, self._grants, interval=options.oauth2_device_interval, life=options.oauth2_device_ttl
        )
        self._token = TokenEndpoint(options, clock, self._clients, self._grants, self._authorization, self._devices)
        self.grant(None, options.oauth2_refresh_token)
        table: dict[str, Callable[[Request, dict[str, Any]], Reply]] = {
            f"GET {ISSUER}/authorize": self._consent,
            f"POST {ISSUER}/authorize": self._authorization.decide,
            f"GET {ISSUER}/device": lambda request, _: self._devices.ask(request, self.credentials["subject"]),
            f"POST {ISSUER}/device": self._devices.decide,
            f"GET {API}": lambda request, _: self._api(request),
            f"GET {ISSUER}/jwks": lambda _, __: json_reply(200, {"keys": []}),
            f"GET {OF_RESOURCE}": lambda request, _: json_reply(200, resource_metadata(request)),
            f"POST {ISSUER}/device_authorization": self._begin_device,
            f"POST {ISSUER}/revoke": self._revoke,
            f"POST {ISSUER}/par": self._push,
            ("GET " if options.oauth2_encoding == "query" else "POST ") + TOKEN: self._ask_for_a_token,
        }
        for path in (*OF_SERVER, *OF_OPENID):
            table[f"GET {path}"] = lambda request, _: json_reply(200, metadata(request, options))
        self._table = table
        self._paths = {known.partition(" ")[2] for known in table}

    def grant(self, client: str | None, refresh_token: str, *, subject: str | None = None) -> int:
        """Grant as a person would, with this first refresh token, and return the number of the grant."""
        with self._lock:
            subject = subject or self.credentials["subject"]
            return self._grants.begin(client, subject, ("read", "write"), refresh_token=refresh_token).number

    def end(self, number: int) -> bool:
        """End a grant, as a person does who removes an application. False if there is none of this number."""
        with self._lock:
            return self._grants.end(number, "ended")

    def report(self) -> list[dict[str, Any]]:
        """Return the grants, without tokens."""
        with self._lock:
            return self._grants.report()

    def route(self, path: str) -> str | None:
        """Accept the paths of the server. None holds a secret."""
        return path if path in self._paths else None

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        note: dict[str, Any] = {}
        handler = self._table.get(f"{request.method} {request.path}", _no_such_method)
        try:
            with self._lock:
                reply = handler(request, note)
        except OAuthError as error:
            note["answer"] = error.code
            reply = error.reply()
            if self._options.oauth2_errors_as_200 and request.path == TOKEN:
                reply = replace(reply, status=200)
        return replace(reply, detail=note)

    def refusal(self, request: Request, code: int | str | None) -> Reply:
        """Refuse with an error code of OAuth, or with an HTTP status: a refresh as `invalid_grant`, else the client."""
        refresh = b"grant_type=refresh_token" in request.body
        word = code if isinstance(code, str) else "invalid_grant" if refresh else "invalid_client"
        return OAuthError(word, "refused on request", status=http_status(code, _STATUSES.get(word, 400))).reply()

    def failure(self, status: int) -> Reply:
        """Answer an HTTP status with OAuth's word for it."""
        return OAuthError(_ERRORS.get(status, "server_error"), status=status).reply()

    def _audiences(self, request: Request) -> tuple[str, str]:
        return origin(request) + ISSUER, origin(request) + TOKEN

    def _read_client(self, request: Request, note: dict[str, Any]) -> tuple[str, dict[str, str]]:
        given = parameters(request)
        client, note["client_auth"] = self._clients.authenticate(
            request, given, self.credentials, self._audiences(request)
        )
        return client, given

    def _ask_for_a_token(self, request: Request, note: dict[str, Any]) -> Reply:
        if not request.body and not request.query:
            raise OAuthError("invalid_request", "there are no parameters")
        given = parameters(request, self._options.oauth2_encoding)
        return self._token.answer(request, given, self.credentials, self._audiences(request), note)

    def _begin_device(self, request: Request, note: dict[str, Any]) -> Reply:
        client, given = self._read_client(request, note)
        return self._devices.begin(request, client, given)

    def _push(self, request: Request, note: dict[str, Any]) -> Reply:
        client, given = self._read_client(request, note)
        return self._authorization.push(client, given, self._known())

    def _revoke(self, request: Request, note: dict[str, Any]) -> Reply:
        client, given = self._read_client(request, note)
        if "token" not in given:
            raise OAuthError("invalid_request", "token is missing")
        note["revoked"] = self._grants.revoke(given["token"], client)
        return Reply(200)

    def _consent(self, request: Request, _: dict[str, Any]) -> Reply:
        return self._authorization.ask(request, self._known(), self.credentials["subject"])

    def _api(self, request: Request) -> Reply:
        found = self._grants.access_token(request.bearer or "")
        if found is None:
            challenge = f'Bearer error="invalid_token", resource_metadata="{origin(request)}{OF_RESOURCE}"'
            return json_reply(401, {"error": "invalid_token"}, headers={"WWW-Authenticate": challenge})
        return json_reply(200, {"sub": found.subject, "client_id": found.client, "scope": " ".join(found.scopes)})

    def _known(self) -> tuple[str, str]:
        return self.credentials["client_id"], self.credentials["public_client_id"]


def _no_such_method(_: Request, __: dict[str, Any]) -> Reply:
    raise OAuthError("invalid_request", "this method is not for this path", status=405)
