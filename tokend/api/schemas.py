"""Schemas of the answers' JSON objects, as typed dictionaries; `openapi` makes OpenAPI schemas from them."""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, WithJsonSchema
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from tokend.values.status import State

_CLOSED = ConfigDict(extra="forbid")  # a test compares real answers and finds fields that are missing here
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
EventId = Annotated[str, Field(pattern="^[0-9]{1,18}$")]
Code = Literal[
    "bad_request", "config_invalid", "denied", "generation_conflict", "internal", "login_required", "not_acceptable",
    "not_supported", "rate_limited", "timeout", "token_unavailable", "too_large", "unknown_token",
    "unsupported_media_type",
]  # fmt: skip


def _json_of(name: str) -> WithJsonSchema:
    """Describe a string that holds JSON of another schema."""
    content = {"contentMediaType": "application/json", "contentSchema": {"$ref": f"#/components/schemas/{name}"}}
    return WithJsonSchema({"type": "string", **content})


class TokenRow(TypedDict):
    """One token in the list and in events; never a secret."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]  # pydantic's place for it
    name: str
    kind: str
    state: State
    valid: bool
    expires_at: Moment | None
    refresh_at: Moment | None
    generation: int | None
    fingerprint: Fingerprint | None


class TokenList(TypedDict):
    """The tokens that the peer may read."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    tokens: list[TokenRow]


# Closed like the shape that holds it.
LastError = TypedDict("LastError", {"class": str, "detail": str, "at": Moment})


class Warned(TypedDict):
    """Something that looks wrong and stops nothing."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    code: str
    message: str


class Reports(TypedDict):
    """Reports of clients that an upstream refused the token; ``uid`` (of the last one) for admins only."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    count: int
    last_at: Moment | None
    reason: Literal["unauthorized", "other"] | None
    uid: NotRequired[int | None]


class Hook(TypedDict):
    """What runs after a write of a sink."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    state: Literal["idle", "running", "failed"]
    since: Moment | None


class SinkRow(TypedDict):
    """One sink of a token. ``required`` is there only if the sink does not count for readiness.

    ``label`` names the sink for ``sync``. ``generation`` is that of the token in the target, as far as is known. Of a
    store: ``store_version`` is its name of what was written last, ``drift`` what the last look found (``none``,
    ``changed``, ``missing`` or ``unknown``, perhaps with a colon and more), ``remark`` what is special about it.
    """

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    kind: str
    label: str
    target: str
    path: str | None
    state: Literal["pending", "ok", "failing", "rejected", "conflict", "removed", "waiting"]
    last_success_at: Moment | None
    error: str | None
    repairs: int
    found_uid: int | None
    hook: Hook | None
    generation: int | None
    store_version: str | None
    drift: str | None
    remark: str | None
    required: NotRequired[Literal[False]]


class LoginRow(TypedDict):
    """The login of a token; ``command`` brings another one. Where it is null, ``step`` says what a person does."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    state: Literal["ok", "ends_soon", "required", "pending", "none"]
    subject: str | None
    obtained_at: Moment | None
    ends_at: Moment | None
    scopes_missing: list[str]
    command: str | None
    step: NotRequired[str]


class StatusRow(TokenRow):
    """One token and its state."""

    required: bool
    seconds_left: float | None
    failures: int
    last_error: LastError | None
    next_attempt_at: Moment | None
    paused_until: Moment | None
    paused_by: str | None
    paused_token: str | None
    reports: Reports
    warnings: list[Warned]
    login: LoginRow | None
    sinks: list[SinkRow]
    note: NotRequired[str]


class ConfigState(TypedDict):
    """When the configuration in force was loaded, why a newer one was refused, and keys that count after a restart."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    loaded_at: Moment
    error: str | None
    restart_needed: list[str]


class TokenEvent(TypedDict):
    """A server-sent event about a token, read by its lines."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    id: EventId
    event: Literal["token", "state"]
    data: Annotated[str, _json_of("TokenRow")]


class SinkChange(TokenRow):
    """A token, and the store of it whose state or drift has changed."""

    sink: SinkRow


class SinkEvent(TypedDict):
    """A server-sent event about a sink in a store elsewhere."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    id: EventId
    event: Literal["sink"]
    data: Annotated[str, _json_of("SinkChange")]


class LoginChange(TokenRow):
    """A token, and its login, which has changed or of which persons got notice."""

    login: LoginRow


class LoginEvent(TypedDict):
    """A server-sent event about the login of a token."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    id: EventId
    event: Literal["login"]
    data: Annotated[str, _json_of("LoginChange")]


class ConfigEvent(TypedDict):
    """A server-sent event about the configuration."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    id: EventId
    event: Literal["config"]
    data: Annotated[str, _json_of("ConfigState")]


class SocketRow(TypedDict):
    """One of ``[[sockets]]``."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    path: str
    tokens: list[str]
    admin: bool
    state: Literal["pending", "ok", "failing"]
    error: str | None


class ListenerRow(TypedDict):
    """One of the daemon's own listeners."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    name: Literal["api", "credentials", "loopback"]
    address: str
    state: Literal["pending", "ok", "failing"]
    error: str | None


class PluginRow(TypedDict):
    """A plug-in that the configuration uses: a file, or an installed package and its version."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    file: str | None
    package: str | None
    version: str | None
    providers: list[str]
    sinks: list[str]
    error: str | None


class StateReport(TypedDict):
    """Whether the daemon's state is sealed, and what is to be said about it."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    sealed: bool
    warnings: list[Warned]


class Status(TypedDict):
    """The daemon's and each token's condition. Only admins see ``listeners``, ``state``, and ``sockets`` if there are
    any."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    ready: bool
    config: ConfigState
    tokens: list[StatusRow]
    listeners: NotRequired[list[ListenerRow]]
    sockets: NotRequired[list[SocketRow]]
    plugins: NotRequired[list[PluginRow]]
    state: NotRequired[StateReport]


class _TokenMembers(TypedDict):
    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    name: str
    access_token: str
    token_type: str
    issued_at: Moment
    expires_at: Moment | None
    expires_at_unix: int | None
    refresh_at: Moment | None
    generation: int | None
    fingerprint: Fingerprint | None
    headers: dict[str, str]


class Token(_TokenMembers):
    """A token in clear, and the headers ready to send. ``extra`` where its kind has further members for readers."""

    extra: NotRequired[dict[str, object]]


class KeyPair(TypedDict):
    """A token that is an AWS key pair, as AWS's SDKs read it from a container's endpoint (``?format=aws``)."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    AccessKeyId: str
    SecretAccessKey: str
    Token: str
    Expiration: Moment


class IssuedToken(_TokenMembers):
    """An on-demand token, and the vendor's other members."""

    extra: dict[str, object]


class Resumed(TypedDict):
    """An on-demand token whose rejected credentials are tried again."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    name: str
    state: State


class Signed(TypedDict):
    """The headers that sign one call to the upstream."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    headers: dict[str, str]


class RequestId(TypedDict):
    """An id for one upstream call."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    request_id: str


class Forgotten(TypedDict):
    """The token that was dropped."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    name: str


class BrowserLoginBegun(TypedDict):
    """A login that a person finishes in a browser: the address to open, and where the browser ends.

    ``paste_only``: nothing in that address shows that it is this login's, so only the person may bring it.
    """

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    login_id: str
    flow: Literal["browser"]
    url: str
    redirect_uri: str
    paste_only: bool
    expires_at: Moment


class DeviceLoginBegun(TypedDict):
    """A login that a person finishes on another device: the address to open there, and the code to enter."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    login_id: str
    flow: Literal["device"]
    verification_uri: str
    verification_uri_complete: str | None
    user_code: str
    expires_at: Moment


class LoginProgress(TypedDict):
    """What has come of a login. ``error`` is also that of the last failed try of a pending one.

    ``awaits_confirmation``: the person has to confirm that it is of the account ``subject``.
    """

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    login_id: str
    state: Literal["pending", "done", "failed", "expired"]
    error: str | None
    subject: str | None
    awaits_confirmation: bool
    expires_at: Moment


class LoggedOut(TypedDict):
    """What a logout has done: whether the server has confirmed it, and whether nothing is kept of the login here."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    name: str
    confirmed: bool
    dropped: bool
    detail: str | None


class SinksStatus(StatusRow):
    """The status of a token after its sinks were written to, or looked at."""

    version: Literal[1]


class Step(TypedDict):
    """One step of a reload: a provider and its action. ``note``: what a person has to do after it."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    name: str
    action: str
    note: NotRequired[str]


class Plan(TypedDict):
    """The steps of a reload, done or planned, and the keys whose new values count only after a restart."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    plan: list[Step]
    restart_needed: list[str]


class Live(TypedDict):
    """The daemon answers."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    live: bool


class NotReadyReason(TypedDict):
    """A required token that is not valid, or (``sink``: its label, such as raw-1) that is not in a required sink."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    token: str
    state: State
    sink: str | None
    detail: str


class Ready(TypedDict):
    """Whether every required token is valid and in its sinks. If not, the reasons that the peer may see."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    ready: bool
    reasons: NotRequired[list[NotReadyReason]]


class Mistake(TypedDict):
    """One error of a configuration, and its place as far as it has one."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    file: str | None
    line: int | None
    column: int | None
    message: str


class Problem(TypedDict):
    """RFC 9457, with a code for programs."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    type: str
    title: str
    status: int
    detail: str
    code: Code
    retry_at: NotRequired[Moment]
    errors: NotRequired[dict[str, list[str]] | list[Mistake]]
