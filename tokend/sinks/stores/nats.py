"""A key of a NATS key-value bucket: written only on top of the revision that was read.

A bucket is a JetStream stream. Each call has a connection of its own, without reconnection: the client would keep a
write while it is disconnected, and deliver it later. The headers of a value hold its writer and its generation.

Source: ADR-8 (key-value stores) and ADR-31 (reading a stream's messages) of nats-architecture-and-design.
"""

import base64
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Self

import anyio
from pydantic import Field, field_validator, model_validator

from tokend.machine.late_imports import import_away
from tokend.plugin.extras import require_package
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.secret_source import SecretField
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.plugin.store_url import StoreUrl, parse_store_url
from tokend.plugin.store_writer import require_ours
from tokend.plugin.strict_json import try_object
from tokend.plugin.tls_settings import TlsSettings
from tokend.upstream import tls
from tokend.values.errors import SinkError, SinkFinalError, SinkRejectedError, SinkUnavailableError
from tokend.values.secret import Secret

if TYPE_CHECKING:
    from nats.aio.client import Client

CLOSE_SECONDS = 0.5
# Headers of a value.
WRITER, GENERATION = "Tokend-Writer", "Tokend-Generation"
EXPECTED, OPERATION = "Nats-Expected-Last-Subject-Sequence", "KV-Operation"
# Codes of JetStream (errors.json of nats-server).
NO_MESSAGE, NO_STREAM, WRONG_REVISION, NAME_IN_USE, TOO_LARGE = 10037, 10059, 10071, 10058, 10054
_WORDS = {
    10023: "the server has no room for it",
    10039: "JetStream is not enabled for this account",
    10047: "the bucket is full",
    10076: "JetStream is not enabled",
    10077: "the bucket is full",
}
_REFUSALS = re.compile(r"permissions violation|authorization violation|authentication|user expired", re.IGNORECASE)
_CREDENTIALS = re.compile(r"-+BEGIN NATS USER JWT-+\s.*-+BEGIN USER NKEY SEED-+\s", re.DOTALL)


class NatsError(SinkError):
    """JetStream answered with an error. ``code`` is its number."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    """The last entry of the key: its revision, value (None if it was deleted), and our headers."""

    revision: int = 0
    value: bytes | None = None
    headers: Mapping[str, str] | None = None


class NatsSink(RemoteSinkSettings, TlsSettings):
    """A key of a bucket."""

    compares: ClassVar[bool] = True
    read_with: ClassVar[frozenset[str]] = frozenset({"nats"})

    kind: Literal["nats"] = "nats"
    # tls://host[:port], or nats:// to loopback.
    url: str
    bucket: str = Field(max_length=255, pattern=r"^[A-Za-z0-9_-]+$")
    key: str = Field(max_length=512, pattern=r"^[A-Za-z0-9_=/-]+(\.[A-Za-z0-9_=/-]+)*$")
    # The content of a .creds file: a JWT and its seed.
    credentials: SecretField | None = None
    # Make the bucket if it is missing.
    create: bool = False

    @field_validator("url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        if _parsed(value).path not in {"", "/"}:
            raise ValueError("after the host of a NATS server stands nothing: tls://host:4222")
        return value

    @model_validator(mode="after")
    def _installed(self) -> Self:
        require_package("nats", kind="nats", extra="nats")
        return self

    @property
    def target(self) -> str:
        """``nats:HOST:PORT/BUCKET/KEY``."""
        return f"nats:{_parsed(self.url).place}/{self.bucket}/{self.key}"

    @property
    def upstream(self) -> str:
        """The place of the server."""
        return _parsed(self.url).place

    def names_in_store(self) -> tuple[str, ...]:
        """Bucket and key, as in ``nats kv get BUCKET KEY``."""
        return self.bucket, self.key

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Write the value on top of the revision that is read first."""
        assert isinstance(content.values, Secret)  # noqa: S101  (there is no key ``values``)
        async with self._session(runtime) as session:
            found = await self._last(session, missing="make" if self.create else "refuse")
            self._compare(runtime, found, content.generation)
            headers = {WRITER: runtime.writer, GENERATION: str(content.generation)}
            revision = await self._publish(session, found, content.values.reveal_bytes(), headers)
        return runtime.mark(content.values, version=revision)

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Purge the key with its history, unless another writer's token is there."""
        async with self._session(runtime) as session:
            found = await self._last(session, missing="empty")
            if found.value is None:
                return runtime.mark(None)
            self._compare(runtime, found, None)
            await self._publish(session, found, b"", {OPERATION: "PURGE", "Nats-Rollup": "sub"})
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the last entry of the key."""
        async with self._session(runtime) as session:
            found = await self._last(session, missing="empty" if self.create else "refuse")
        if found.value is None:
            return runtime.mark(None)
        return runtime.mark(Secret(found.value), version=str(found.revision))

    def _compare(self, runtime: SinkRuntime, found: _Found, generation: int | None) -> None:
        headers = {} if found.value is None or found.headers is None else found.headers
        writer, there = headers.get(WRITER), headers.get(GENERATION)
        require_ours(runtime, self.target, writer=writer, generation=there, ours=generation)

    async def _last(self, session: "_Session", *, missing: Literal["make", "empty", "refuse"]) -> _Found:
        """Read the last entry; ``missing`` is what a bucket that does not exist means."""
        asked = dumps({"last_by_subj": self._subject}).encode()
        try:
            answer = await session.ask(f"$JS.API.STREAM.MSG.GET.{self._stream}", asked)
        except NatsError as error:
            if error.code == NO_MESSAGE:
                return _Found()
            if error.code != NO_STREAM:
                raise
            if missing == "refuse":
                advice = f"nats kv add {self.bucket}, or create = true"
                raise SinkError(f"{self.target}: the bucket does not exist: {advice}") from None
            if missing == "make":
                await self._make_bucket(session)
            return _Found()
        found = _entry(answer.get("message"))
        if found is None:
            raise SinkError(f"{self.target}: the server answered with something else than an entry")
        return found

    async def _make_bucket(self, session: "_Session") -> None:
        config = {
            "name": self._stream, "subjects": [f"$KV.{self.bucket}.>"], "max_msgs_per_subject": 1, "discard": "new",
            "allow_rollup_hdrs": True, "deny_delete": True, "allow_direct": True, "storage": "file",
            "retention": "limits", "num_replicas": 1, "max_msgs": -1, "max_bytes": -1, "max_consumers": -1,
            "max_age": 0, "max_msg_size": -1,
        }  # fmt: skip
        try:
            await session.ask(f"$JS.API.STREAM.CREATE.{self._stream}", dumps(config).encode())
        except NatsError as error:
            if error.code != NAME_IN_USE:
                raise

    async def _publish(self, session: "_Session", found: _Found, value: bytes, headers: Mapping[str, str]) -> str:
        expected = {EXPECTED: str(found.revision), "Nats-Expected-Stream": self._stream}
        try:
            answer = await session.ask(self._subject, value, {**headers, **expected})
        except NatsError as error:
            if error.code == WRONG_REVISION:
                raise SinkError(f"{self.target}: another writer has written meanwhile: the key is read again") from None
            if error.code == TOO_LARGE:
                raise SinkFinalError(f"{self.target}: the value is larger than the bucket takes") from None
            raise
        revision = answer.get("seq")
        if answer.get("stream") != self._stream or type(revision) is not int:
            raise SinkError(f"{self.target}: the server answered without a revision: was the value written?")
        return str(revision)

    @property
    def _stream(self) -> str:
        return f"KV_{self.bucket}"

    @property
    def _subject(self) -> str:
        return f"$KV.{self.bucket}.{self.key}"

    @asynccontextmanager
    async def _session(self, runtime: SinkRuntime) -> "AsyncIterator[_Session]":
        """Connect, and close the connection at the end. Raises `SinkError`."""
        if "nats.aio.client" not in sys.modules:
            await import_away("nats.aio.client")
        from nats.aio.client import Client
        from nats.errors import Error

        session = _Session(self, Client())
        try:
            with anyio.fail_after(self.timeout.total_seconds()), session.scope:
                try:
                    await session.connect(runtime)
                    yield session
                finally:
                    # After a handshake that failed, the library waits for the end of a connection that has ended.
                    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                        await session.close()
        except (Error, OSError, EOFError, ValueError) as error:
            session.refuse(error)
        if session.scope.cancelled_caught:
            session.refuse(None)


class _Session:
    """One connection. An error that the server sends apart from an answer ends ``scope``: no answer would follow."""

    def __init__(self, sink: NatsSink, client: "Client") -> None:
        self.client = client
        self.scope = anyio.CancelScope()
        self._sink = sink
        self._first: Exception | None = None
        self._is_begun = False
        self._is_connecting = True
        self._is_sent = False

    async def connect(self, runtime: SinkRuntime) -> None:
        """Open the connection. Raises what the library raises."""
        from nats.aio.client import RawCredentials

        sink = self._sink
        keys: dict[str, Any] = {}
        if sink.credentials is not None:
            if "nkeys" not in sys.modules:
                await import_away("nkeys")
            text = (await runtime.reveal(sink.credentials)).reveal_bytes().decode("utf-8", "replace")
            if not _CREDENTIALS.search(text):
                raise SinkError(f"{sink.target}: credentials is not the content of a .creds file: a JWT and its seed")
            keys["user_credentials"] = RawCredentials(text)
        place = _parsed(sink.url)
        if place.scheme == "tls":
            try:
                keys["tls"] = await runtime.run_in_thread(lambda: tls.client_context(sink))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or type(error).__name__
                raise SinkError(f"{sink.target}: {reason}") from None
        self._is_begun = True
        await self.client.connect(
            sink.url, error_cb=self._on_error, allow_reconnect=False, max_reconnect_attempts=1,
            connect_timeout=max(1, int(sink.timeout.total_seconds())), **keys,
        )  # fmt: skip
        self._is_connecting = False

    async def close(self) -> None:
        """Close the connection, if one was begun."""
        if self._is_begun:
            await self.client.close()

    async def ask(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Send one request and return its answer. Raises `NatsError` for an error of JetStream."""
        target, seconds = self._sink.target, self._sink.timeout.total_seconds()
        self._is_sent = self._is_sent or headers is not None
        own = dict(headers) if headers else None
        message = await self.client.request(subject, payload, timeout=seconds, headers=own)
        answer = try_object(message.data)
        if answer is None:
            raise SinkError(f"{target}: the server answered with something that is not acceptable JSON")
        error = answer.get("error")
        if not isinstance(error, dict):
            return answer
        code, status = error.get("err_code"), error.get("code")
        if status == 503:
            raise SinkUnavailableError(f"{target}: JetStream is not ready")
        words = f": {_WORDS[code]}" if code in _WORDS else ""
        raise NatsError(
            f"{target}: the server refused{f' ({code})' if type(code) is int else ''}{words}",
            code=code if type(code) is int else 0,
        )

    async def _on_error(self, error: Exception) -> None:
        # The library would try to connect again and again, and waits for an answer that a refused request never gets.
        self._first = self._first or error
        if self._is_connecting or _REFUSALS.search(str(error)):
            self.scope.cancel()

    def refuse(self, error: Exception | None) -> NoReturn:
        """Raise the `SinkError` for what the library raised, or reported apart from an answer."""
        first, target = self._first or error, self._sink.target
        said, name = f"{first} {error}", type(first).__name__
        raised: SinkError
        if _REFUSALS.search(said):
            raised = SinkRejectedError(
                f"{target}: the server refused the credentials, or they may not publish and read this key of the bucket"
            )
        elif first is not None and (trouble := tls.trouble(first)) is not None:
            raised = SinkUnavailableError(f"{target}: {trouble}")
        elif name == "NoRespondersError":
            raised = SinkError(f"{target}: JetStream is not enabled, or the bucket does not exist")
        elif name == "MaxPayloadError":
            raised = SinkFinalError(f"{target}: the value is larger than the server takes")
        elif isinstance(first, TimeoutError):
            raised = SinkUnavailableError(f"{target}: no answer within {self._sink.timeout.total_seconds():g} s")
        elif isinstance(first, ValueError):
            raised = SinkError(f"{target}: the credentials cannot be used, or the server speaks another protocol")
        else:
            raised = SinkUnavailableError(f"{target}: no connection, or it broke off")
        raised.may_have_acted = self._is_sent and not isinstance(raised, SinkRejectedError | SinkFinalError)
        raise raised from None


def _entry(message: Any) -> _Found | None:
    """Return the entry in an answer; None if it is none."""
    try:
        revision, data = message["seq"], base64.b64decode(message.get("data", ""), validate=True)
        headers = _headers(base64.b64decode(message.get("hdrs", ""), validate=True))
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    if type(revision) is not int or revision < 1:
        return None
    return _Found(revision, None if OPERATION in headers else data, headers)


def _headers(raw: bytes) -> dict[str, str]:
    """Parse the headers of a stored message: a version, then one ``Name: value`` a line."""
    found = {}
    for line in raw.decode("utf-8", "replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found


def _parsed(url: str) -> StoreUrl:
    return parse_store_url(url, plain="nats", encrypted="tls", port=4222)
