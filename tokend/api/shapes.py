"""The shapes of the answers' JSON objects; OpenAPI's schemas are made from them (`openapi`)."""

from typing import Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from tokend.status import State

_CLOSED = ConfigDict(extra="forbid")  # a test compares real answers: a field that is not described here is found


class TokenRow(TypedDict):
    """One token in the list and in events; never a secret."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]  # pydantic's place for it
    name: str
    kind: str
    state: State
    valid: bool
    expires_at: str | None
    refresh_at: str | None
    generation: int | None
    fingerprint: str | None


class TokenList(TypedDict):
    """What the peer may read."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    tokens: list[TokenRow]


LastError = TypedDict("LastError", {"class": str, "detail": str, "at": str})


class SinkRow(TypedDict):
    """One sink of a token."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    kind: str
    path: str
    state: str
    last_success_at: str | None
    error: str | None


class StatusRow(TokenRow):
    """One token and how it fares."""

    required: bool
    seconds_left: float | None
    failures: int
    last_error: LastError | None
    next_attempt_at: str | None
    sinks: list[SinkRow]
    note: NotRequired[str]


class ConfigState(TypedDict):
    """When the configuration in force was loaded, and why a newer one was refused."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    loaded_at: str
    error: str | None


class Status(TypedDict):
    """The daemon's and each token's condition."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    ready: bool
    config: ConfigState
    tokens: list[StatusRow]


class Token(TypedDict):
    """A token in clear, and the headers ready to send."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    name: str
    access_token: str
    token_type: str
    issued_at: str
    expires_at: str | None
    expires_at_unix: int | None
    refresh_at: str | None
    generation: int | None
    fingerprint: str | None
    headers: dict[str, str]


class IssuedToken(Token):
    """An on-demand token, and what the vendor said beside it."""

    extra: dict[str, object]


class RequestId(TypedDict):
    """An id for one upstream call."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    request_id: str


class Forgotten(TypedDict):
    """The token that was dropped."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    name: str


class Step(TypedDict):
    """What a reload does to one provider."""

    name: str
    action: str


class Plan(TypedDict):
    """What a reload did, or would do."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    version: Literal[1]
    plan: list[Step]


class Live(TypedDict):
    """The daemon answers."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    live: bool


class Ready(TypedDict):
    """Whether every required token is valid and in its sinks."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    ready: bool


class Problem(TypedDict):
    """RFC 9457, with a code for programs."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    type: str
    title: str
    status: int
    detail: str
    code: str
    retry_at: NotRequired[str]
    errors: NotRequired[dict[str, list[str]] | list[dict[str, object]]]
