"""Kind ``github-app``: the installation token of a GitHub App (docs/vendors.md, github-app)."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import quote

import orjson
from pydantic import BeforeValidator, Field, field_validator, model_validator

from tokend.plugin.bearer_reply import bearer_token
from tokend.plugin.connection_settings import LARGEST_BODY_BYTES
from tokend.plugin.field_roles import Role
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.provider import Runtime
from tokend.plugin.response_status import (
    LONGEST_PAUSE_SECONDS,
    RATE_LIMITED,
    SHORTEST_PAUSE_SECONDS,
    refuse,
    retry_after,
)
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings, NetworkSettings
from tokend.plugin.settings_base import Strings
from tokend.plugin.signing_time import refuse_signed
from tokend.plugin.strict_json import parse_object, try_object
from tokend.plugin.token_expiry import MISSING
from tokend.plugin.vendor_words import with_words
from tokend.signing.jwt import key_fault, sign
from tokend.values.errors import AttemptError, RateLimitedError, RejectedError, SecretError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token
from tokend.values.url import host_of

ALGORITHM = "RS256"
# GitHub's advice against a clock that is ahead; its limit is 600 s after its own present moment.
BACKDATED_SECONDS, JWT_SECONDS = 60, 600
DEFAULT_LIFE_SECONDS = 3600.0
# GitHub's advice after a secondary rate limit that says no time.
PAUSE_SECONDS = 60.0
MOST_REPOSITORIES = 500
# The answer describes each repository of the request in about 6 KB.
REPOSITORY_BYTES = 16 * 1024
_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
_REPOSITORY = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}", re.ASCII)
_PERMISSION = re.compile(r"[a-z][a-z0-9_]{0,99}", re.ASCII)


def _text(value: object) -> object:
    """Return the text of a number: GitHub's pages show ids as numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | int)]


class GithubApp(HeldSettings, NetworkSettings):
    """An installation token of one App at one account: of all its repositories and permissions, or of some."""

    kind: Literal["github-app"] = "github-app"
    base_url: str = "https://api.github.com"
    client_id: Annotated[Id, Role.ACCOUNT]
    private_key: SecretField
    installation: Annotated[Id | None, Role.ACCOUNT] = None
    owner: Annotated[str | None, Role.ACCOUNT] = None
    permissions: dict[str, Literal["read", "write", "admin"]] = Field(default_factory=dict)
    repositories: Strings = ()

    @field_validator("client_id")
    @classmethod
    def _is_client_id(cls, value: str) -> str:
        if not _CLIENT_ID.fullmatch(value):
            raise ValueError("it is the client ID of the App's settings page (Iv…), or its App ID")
        return value

    @field_validator("installation")
    @classmethod
    def _is_number(cls, value: str | None) -> str | None:
        if value is not None and not _NUMBER.fullmatch(value):
            raise ValueError("it is the number at the end of the address of the installation's settings page")
        return value

    @field_validator("owner")
    @classmethod
    def _is_login(cls, value: str | None) -> str | None:
        if value is not None and not _OWNER.fullmatch(value):
            raise ValueError("it is the name of a user or an organisation, as in https://github.com/NAME")
        return value

    @field_validator("permissions")
    @classmethod
    def _are_permissions(cls, value: dict[str, str]) -> dict[str, str]:
        if not all(_PERMISSION.fullmatch(name) for name in value):
            raise ValueError('a permission is written as in the API: contents = "read", pull_requests = "write"')
        return value

    @field_validator("repositories")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_REPOSITORY.fullmatch(name) for name in value):
            raise ValueError('write the names of repositories, each without its owner: ["app", "docs"]')
        if len(value) > MOST_REPOSITORIES:
            raise ValueError(f"at most {MOST_REPOSITORIES} repositories can be named; without any, the token has all")
        return value

    @model_validator(mode="after")
    def _one_account(self) -> Self:
        if (self.installation is None) == (self.owner is None):
            found = "neither" if self.installation is None else "both"
            raise ValueError(f"either installation (a number) or owner (an account's name) is needed: found {found}")
        return self

    @property
    def largest_body_bytes(self) -> int:  # type: ignore[override]  # here it depends on the settings
        """The largest body of an answer, which describes each of ``repositories``."""
        return LARGEST_BODY_BYTES + REPOSITORY_BYTES * len(self.repositories)

    def unusable_secrets(self, secrets: Mapping[str, Secret]) -> Mapping[str, str]:
        """Return the fault of a private key that cannot sign."""
        key = secrets.get("private_key")
        fault = None if key is None else key_fault(key, ALGORITHM)
        return {} if fault is None else {"private_key": fault}

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Ask for a token of the installation; look its number up by ``owner`` where it is not known."""
        call = await self._signed(runtime)
        known = None if self.owner is None or previous is None else _number(previous.extra.get("installation"))
        if known is not None:
            reply = await self._token_reply(runtime, call, known)
            if reply.status != 404:
                return call.token(reply, known)
            # The App may have been removed and installed again.
        number = self.installation or await self._found(runtime, call)
        return call.token(await self._token_reply(runtime, call, number), number)

    async def _signed(self, runtime: Runtime) -> "_Call":
        key = await runtime.reveal(self.private_key)
        now = runtime.upstream_now().timestamp()
        issued = int(now) - BACKDATED_SECONDS
        claims = {"iat": issued, "exp": issued + JWT_SECONDS, "iss": self.client_id}
        try:
            jwt = Secret(sign(claims, key, algorithm=ALGORITHM))
        except SecretError as error:
            raise SecretError(f"private_key: {self.private_key}: {error.detail}") from None
        return _Call(host_of(self.base_url), jwt, key, now)

    async def _token_reply(self, runtime: Runtime, call: "_Call", number: str) -> UpstreamReply:
        asked: dict[str, Any] = {}
        if self.permissions:
            asked["permissions"] = self.permissions
        if self.repositories:
            asked["repositories"] = self.repositories
        url = f"{self.base_url}/app/installations/{number}/access_tokens"
        return await runtime.exchange(UpstreamRequest("POST", url, call.headers(), orjson.dumps(asked)))

    async def _found(self, runtime: Runtime, call: "_Call") -> str:
        """Return the number of the installation at ``owner``, which is an organisation or a user."""
        for sort in ("orgs", "users"):
            url = f"{self.base_url}/{sort}/{quote(self.owner or '', safe='')}/installation"
            reply = await runtime.exchange(UpstreamRequest("GET", url, call.headers()))
            if reply.status == 200:
                return call.installation(reply)
            if reply.status != 404 or (sort == "users" and not call.is_not_found(reply)):
                call.refuse(reply)
        message = f"{call.host} answered 404: the App {self.client_id} is not installed at {self.owner}"
        raise with_words(RejectedError(message), reply, call.secrets)


class _Call:
    """The requests of one attempt, all with one JWT, and what their answers mean."""

    def __init__(self, host: str, jwt: Secret, key: Secret, signed_at: float) -> None:
        self.host = host
        self.secrets = [jwt, key]
        self._jwt = jwt
        self._signed_at = signed_at

    def headers(self) -> dict[str, str | Secret]:
        """Return the headers of a request by the App."""
        return {
            "Authorization": Secret(f"Bearer {self._jwt.reveal()}"),
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def token(self, reply: UpstreamReply, number: str) -> Token:
        """Make the token of an answer. Raises an `AttemptError` for an answer without one."""
        if reply.status not in (200, 201):
            if self.is_not_found(reply):
                message = f"{self.host} answered 404: this App has no installation {number}"
                raise with_words(RejectedError(message), reply, self.secrets)
            self.refuse(reply)
        try:
            answer = parse_object(reply.body, self.host)
            token = bearer_token(
                reply, answer.get("token"), host=self.host,
                expires_at=answer.get("expires_at", MISSING), default_seconds=DEFAULT_LIFE_SECONDS,
            )  # fmt: skip
        except AttemptError as error:
            raise with_words(error, reply, self.secrets) from None
        return replace(token, extra={"installation": number, **_granted(answer)})

    def installation(self, reply: UpstreamReply) -> str:
        """Return the number in the description of an installation."""
        number = _number(parse_object(reply.body, self.host).get("id"))
        if number is None:
            raise TransientError(f"{self.host} answered without the number of the installation")
        return number

    def is_not_found(self, reply: UpstreamReply) -> bool:
        """Return whether a reply is GitHub's own 404. That of a proxy is not JSON."""
        return reply.status == 404 and try_object(reply.body) is not None

    def refuse(self, reply: UpstreamReply) -> NoReturn:
        """Raise the error for a status without a token."""
        try:
            self._refuse(reply)
        except AttemptError as error:
            raise with_words(error, reply, self.secrets) from None

    def _refuse(self, reply: UpstreamReply) -> NoReturn:
        if reply.status == 401:
            message = f"{self.host} answered 401: client_id, private_key or the time of the JWT is not accepted"
            refuse_signed(reply, message, signed_at=self._signed_at)
        answer = try_object(reply.body)
        said = answer.get("message") if answer is not None else None
        if reply.status in (403, RATE_LIMITED) and (pause := _pause(reply, said)) is not None:
            raise RateLimitedError(f"{self.host} answered {reply.status}: too many requests", retry_after=pause)
        if reply.status == 403 and isinstance(said, str) and "suspended" in said.lower():
            raise RejectedError(f"{self.host} answered 403: the installation is suspended")
        if reply.status == 422 and answer is not None:
            message = "a permission is not granted, or a repository is not of this installation"
            raise RejectedError(f"{self.host} answered 422: {message} (permissions, repositories)")
        refuse(reply, self.host)


def _pause(reply: UpstreamReply, said: object) -> float | None:
    """Return the pause in seconds that a reply asks for; None if it is no rate limit.

    ``Retry-After`` counts first, then the end of a used-up limit: x-ratelimit-reset, in Unix seconds of GitHub's clock.
    """
    if (seconds := retry_after(reply)) is not None:
        return seconds
    if reply.headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset = reply.headers.get("x-ratelimit-reset", "").strip()
        if not re.fullmatch(r"[0-9]{1,12}", reset, re.ASCII):
            return PAUSE_SECONDS
        now = reply.sent_at.wall.timestamp() + reply.offset if reply.date is None else reply.date.timestamp()
        return min(max(int(reset) - now, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
    limited = isinstance(said, str) and ("rate limit" in said.lower() or "abuse" in said.lower())
    return PAUSE_SECONDS if limited else None


def _number(value: object) -> str | None:
    """Return the number of an installation as text; None for anything else."""
    text = _text(value)
    return text if isinstance(text, str) and _NUMBER.fullmatch(text) else None


def _granted(answer: Mapping[str, Any]) -> dict[str, JSON]:
    """Return what a token may do, as far as the answer says it in the documented form."""
    found: dict[str, JSON] = {}
    if isinstance(permissions := answer.get("permissions"), dict):
        found["permissions"] = {name: level for name, level in permissions.items() if isinstance(level, str)}
    if isinstance(selection := answer.get("repository_selection"), str):
        found["repository_selection"] = selection
    if isinstance(repositories := answer.get("repositories"), list):
        names = [one.get("full_name") for one in repositories if isinstance(one, dict)]
        found["repositories"] = [name for name in names if isinstance(name, str)]
    return found
