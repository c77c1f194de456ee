"""A key of Redis or Valkey, or a field of a hash: written by one script that compares generations.

Beside the key stands a hash with the generation and the writer, in the same slot of a cluster: ``{KEY}:tokend``.
"""

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NoReturn, Self

import anyio
from pydantic import Field, field_validator, model_validator

from tokend.machine.late_imports import import_away
from tokend.plugin.extras import require_package
from tokend.plugin.field_roles import Disclosure
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import part_of
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.plugin.store_url import StoreUrl, parse_store_url
from tokend.plugin.tls_settings import TlsSettings
from tokend.upstream import tls
from tokend.values.errors import (
    NewerGenerationError,
    SinkConflictError,
    SinkError,
    SinkRejectedError,
    SinkUnavailableError,
)
from tokend.values.secret import Secret

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

CLOSE_SECONDS = 0.5
# Each begins with the comparison. ARGV: writer, generation ("" for unknown), whether to take over, field.
_COMPARE = """
local suffix = ARGV[4] == '' and '' or ':' .. ARGV[4]
local found = redis.call('HMGET', KEYS[2], 'writer' .. suffix, 'generation' .. suffix)
if found[1] and found[1] ~= ARGV[1] and ARGV[3] == '0' then return {'other', ''} end
if found[1] == ARGV[1] and found[2] and ARGV[2] ~= '' and tonumber(found[2]) > tonumber(ARGV[2]) then
  return {'newer', found[2]}
end
"""
# ARGV from 5: value, end in milliseconds or "", whether the whole key of a field ends then, channel, name.
PUT = (
    _COMPARE
    + """
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[4], ARGV[5])
  if ARGV[7] == '1' and ARGV[6] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[6]) end
else
  redis.call('GET', KEYS[1])
  if ARGV[6] == '' then redis.call('SET', KEYS[1], ARGV[5])
  else redis.call('SET', KEYS[1], ARGV[5], 'PXAT', ARGV[6]) end
end
redis.call('HSET', KEYS[2], 'writer' .. suffix, ARGV[1], 'generation' .. suffix, ARGV[2])
if ARGV[4] == '' then
  if ARGV[6] == '' then redis.call('PERSIST', KEYS[2]) else redis.call('PEXPIREAT', KEYS[2], ARGV[6]) end
end
if ARGV[8] ~= '' then redis.call('PUBLISH', ARGV[8], ARGV[9]) end
return {'ok', ''}
"""
)
REMOVE = (
    _COMPARE
    + """
if ARGV[4] ~= '' then redis.call('HDEL', KEYS[1], ARGV[4]) else redis.call('DEL', KEYS[1]) end
redis.call('HDEL', KEYS[2], 'writer' .. suffix, 'generation' .. suffix)
return {'ok', ''}
"""
)
READ = """
local suffix = ARGV[1] == '' and '' or ':' .. ARGV[1]
local value
if ARGV[1] ~= '' then value = redis.call('HGET', KEYS[1], ARGV[1]) else value = redis.call('GET', KEYS[1]) end
return {value, redis.call('HMGET', KEYS[2], 'generation' .. suffix)[1]}
"""

# Words of the server's errors, with what happens next and what the operator should know. A script's error has its
# command's error inside.
_REJECTED = re.compile(
    r"\b(NOAUTH|WRONGPASS|NOPERM|DENIED|ACL failure)\b"
    r"|invalid username-password|No permissions|unauthenticated|user executing the script"
)
_AWAY = re.compile(r"\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|BUSY|max number of clients)\b")
_KNOWN = {
    "WRONGTYPE": "the key holds another type: it is left alone",
    "OOM": "the server is out of memory",
    "MISCONF": "the server cannot save, and takes no writes",
    "MOVED": "the key belongs to another node of the cluster: name that node in url",
    "ASK": "the key moves to another node of the cluster",
    "CROSSSLOT": "key and generation are in different slots",
}
_WORD = re.compile(rf"\b({'|'.join(_KNOWN)})\b")
_TAG = re.compile(r"[^{}]*\{[^{}]+\}.*", re.DOTALL)


class RedisSink(RemoteSinkSettings, TlsSettings):
    """A key with the token, or one field of a hash whose other fields are others'."""

    compares: ClassVar[bool] = True
    read_with: ClassVar[frozenset[str]] = frozenset({"redis-cli", "valkey-cli"})

    kind: Literal["redis"] = "redis"
    # rediss://host[:port][/db], redis:// to loopback, or unix:///path.
    url: str
    key: str = Field(min_length=1, max_length=1024)
    # A field of the hash at ``key``.
    field: str | None = Field(default=None, min_length=1, max_length=1024)
    username: Annotated[SecretField | None, Disclosure.HARMLESS] = None
    password: SecretField | None = None
    # With ``field``: the whole key ends when the token ends. Without a field it always does.
    expire: bool = False
    # The channel that gets the token's name after each write.
    publish: str | None = Field(default=None, min_length=1, max_length=1024)

    @field_validator("url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        place = _parsed(value)
        if place.host is not None and not re.fullmatch(r"(/[0-9]{0,5})?", place.path, re.ASCII):
            raise ValueError("after the host stands nothing but the number of a database: rediss://host:6379/0")
        return value

    @field_validator("key")
    @classmethod
    def _has_a_neighbour(cls, value: str) -> str:
        if ("{" in value or "}" in value) and not _TAG.fullmatch(value):
            raise ValueError("braces in a key are a hash tag: {…} with something in it, once")
        return value

    @model_validator(mode="after")
    def _usable(self) -> Self:
        require_package("redis", kind="redis", extra="redis")
        if self.expire and self.field is None:
            raise ValueError("expire belongs to field: a key of its own always ends with the token")
        if self.username is not None and self.password is None:
            raise ValueError("username needs password")
        return self

    @property
    def target(self) -> str:
        """``redis:HOST:PORT/DB/KEY``, with ``#FIELD`` for a field of a hash."""
        return self._key + ("" if self.field is None else f"#{self.field}")

    @property
    def _key(self) -> str:
        place = _parsed(self.url)
        database = "" if place.host is None else f"/{self._database}"
        return f"redis:{place.place}{database}/{self.key}"

    @property
    def _database(self) -> int:
        place = _parsed(self.url)
        return 0 if place.host is None else int(place.path.lstrip("/") or 0)

    @property
    def upstream(self) -> str:
        """The place of the server: all sinks of one server pause together."""
        return _parsed(self.url).place

    @property
    def writes_end(self) -> bool:  # type: ignore[override]  # the key's end is left alone where the key is others', too
        """Whether the key ends with the token."""
        return self.field is None or self.expire

    def exclusive_targets(self) -> frozenset[str]:
        """The field, or the whole key."""
        return frozenset({self._key if self.field is None else part_of(self._key, self.field)})

    def names_in_store(self) -> tuple[str, ...]:
        """The key, as in ``redis-cli get KEY``."""
        return (self.key,)

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Write the value, its end, and the generation, unless a newer one is there."""
        assert isinstance(content.values, Secret)  # noqa: S101  (there is no key ``values``)
        ends = "" if content.expires_at is None else str(int(content.expires_at.wall.timestamp() * 1000))
        version = str(content.generation)
        more = (content.values.reveal_bytes(), ends, str(int(self.expire)), self.publish or "", runtime.name)
        self._confirm(await self._run(runtime, PUT, *self._compared(runtime, version), *more))
        return runtime.mark(content.values, version=version)

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Delete the key or the field, unless another writer's or a newer token is there."""
        version = None if known is None else known.version
        self._confirm(await self._run(runtime, REMOVE, *self._compared(runtime, version or "")))
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the value and the generation beside it."""
        found = await self._run(runtime, READ, self.field or "")
        value, version = found if isinstance(found, list) and len(found) == 2 else (0, 0)
        if not isinstance(value, bytes | None) or not isinstance(version, bytes | None):
            raise SinkError(f"{self.target}: the server answered with something else than a value")
        said = None if version is None or value is None else version.decode("ascii", "replace")
        return runtime.mark(None if value is None else Secret(value), version=said)

    def _compared(self, runtime: SinkRuntime, version: str) -> tuple[str, ...]:
        return runtime.writer, version, str(int(runtime.may_take_over)), self.field or ""

    def _confirm(self, answer: Any) -> None:
        said = answer if isinstance(answer, list) and len(answer) == 2 else [b"", b""]
        if said[0] == b"other":
            raise SinkConflictError(f"{self.target}: it holds a token of another writer")
        if said[0] == b"newer" and isinstance(said[1], bytes) and re.fullmatch(rb"[0-9]{1,18}", said[1]):
            generation = int(said[1])
            raise NewerGenerationError(f"{self.target}: it holds generation {generation}", generation=generation)
        if said[0] != b"ok":
            raise SinkError(f"{self.target}: the server answered with something else than the script's result")

    async def _run(self, runtime: SinkRuntime, script: str, *arguments: str | bytes) -> Any:
        """Run a script on a connection of its own. Raises `SinkError`."""
        if "redis.asyncio.connection" not in sys.modules:
            await import_away("redis.asyncio.connection")
        from redis.exceptions import RedisError

        is_sent = False
        try:
            with anyio.fail_after(self.timeout.total_seconds()):
                connection = await self._made(runtime)
                try:
                    await connection.connect()  # type: ignore[no-untyped-call]  # the library has no types here
                    is_sent = True
                    await connection.send_command("EVAL", script, 2, self.key, _neighbour(self.key), *arguments)
                    return await connection.read_response()
                finally:
                    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                        await connection.disconnect(nowait=True)
        except (RedisError, OSError, EOFError, ValueError, RecursionError) as error:
            self._refuse(error, is_sent=is_sent)

    async def _made(self, runtime: SinkRuntime) -> "AbstractConnection":
        """Make a connection that is not open yet, with the credentials."""
        from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        place = _parsed(self.url)
        common: dict[str, Any] = {
            "db": self._database,
            "username": None if self.username is None else self._text(await runtime.reveal(self.username)),
            "password": None if self.password is None else self._text(await runtime.reveal(self.password)),
            # The deadline is over all of it, and a second attempt is the engine's.
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "driver_info": None,
        }
        if place.host is None:
            return UnixDomainSocketConnection(path=place.path, **common)
        if place.scheme == "redis":
            return Connection(host=place.host, port=place.port, **common)
        try:
            context = await runtime.run_in_thread(lambda: tls.client_context(self))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise SinkError(f"{self.target}: {reason}") from None
        made = SSLConnection(host=place.host, port=place.port, **common)
        made.ssl_context.context = context
        return made

    def _text(self, secret: Secret) -> str:
        try:
            return secret.reveal()
        except ValueError:
            raise SinkError(f"{self.target}: the user name or the password is not UTF-8 text") from None

    def _refuse(self, error: Exception, *, is_sent: bool) -> NoReturn:
        """Raise the `SinkError` for what the library raised. Its words are not quoted: the server chose them."""
        from redis import exceptions

        said, name = str(error), type(error).__name__
        raised: SinkError
        if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError) or _REJECTED.search(said):
            raised = SinkRejectedError(
                f"{self.target}: the server refused ({name}): is the password right, and may the user run EVAL, and "
                "GET, SET, DEL, HMGET, HGET, HSET, HDEL, PEXPIREAT, PERSIST and PUBLISH on these keys?"
            )
        elif (away := _AWAY.search(said)) or name in _AWAY_CLASSES:
            raised = SinkUnavailableError(f"{self.target}: the server is not ready ({away[1] if away else name})")
        elif (word := _WORD.search(said)) or name in _CLASSES:
            code = word[1] if word else _CLASSES[name]
            raised = SinkError(f"{self.target}: the server refused ({code}): {_KNOWN[code]}")
        elif (trouble := tls.trouble(error)) is not None:
            raised = SinkUnavailableError(f"{self.target}: {trouble}")
        elif isinstance(error, TimeoutError):
            raised = SinkUnavailableError(f"{self.target}: no answer within {self.timeout.total_seconds():g} s")
        elif isinstance(error, exceptions.ConnectionError | OSError | EOFError):
            what = "the connection broke off" if is_sent else "no connection"
            raised = SinkUnavailableError(f"{self.target}: {what}")
        else:
            what = "an error" if isinstance(error, exceptions.RedisError) else "something that is no answer of Redis"
            raised = SinkError(f"{self.target}: the server answered with {what}")
        raised.may_have_acted = is_sent and not isinstance(raised, SinkRejectedError)
        raise raised from None


_AWAY_CLASSES = {"BusyLoadingError", "ReadOnlyError", "MasterDownError", "ClusterDownError", "TryAgainError"}
_CLASSES = {
    "OutOfMemoryError": "OOM",
    "MovedError": "MOVED",
    "AskError": "ASK",
    "ClusterCrossSlotError": "CROSSSLOT",
}


def _parsed(url: str) -> StoreUrl:
    return parse_store_url(url, plain="redis", encrypted="rediss", port=6379, socket="unix")


def _neighbour(key: str) -> str:
    """Return the key of the generation. A cluster hashes what is in the first braces only."""
    return f"{key}:tokend" if _TAG.fullmatch(key) else f"{{{key}}}:tokend"
