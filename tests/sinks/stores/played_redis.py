"""A server that speaks RESP 2 and plays the scripts of the sink: tests/counterparts runs them in a real Redis."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from tests.fakes import literal
from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore
from tokend.sinks.stores import redis as kind

PATIENCE_SECONDS = 10.0
OK = b"+OK\r\n"


class _Listener:
    """A port on which each connection is given to ``serve``; what `PlayedStore` calls its server."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[list[bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        with connection, suppress(OSError):
            self._serve(connection)


class PlayedRedis(PlayedStore):
    """The key ``app``; ``says`` is sent instead of each script's result, after it had its effect if ``acts``."""

    user = b"tokend"

    def __init__(self) -> None:
        self.refusing = False
        self.values: dict[str, bytes] = {"other": b"somebody else's"}
        self.ends: dict[str, str] = {}
        self.about: dict[str, str] = {}  # the hash beside the key
        self.published: list[tuple[bytes, bytes]] = []
        self.says: bytes | None = None
        self.acts = False
        self._writes = 0
        self.server: Any = _Listener(self._serve)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server.port}/3"

    def keys(self) -> dict[str, Any]:
        return {"url": self.url, "username": literal("tokend"), "password": literal(self.credential)}

    def answer(self, asked: Asked) -> Answer:
        raise AssertionError("it speaks no HTTP")

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while command := _read(reader):
                connection.sendall(self._execute(command))

    def _execute(self, command: list[bytes]) -> bytes:
        if command[0] == b"AUTH":
            allowed = command[1:] == [self.user, self.credential.encode()] and not self.refusing
            return OK if allowed else b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        if command[0] == b"SELECT":
            return OK if command[1] == b"3" else b"-ERR DB index is out of range\r\n"
        if command[0] != b"EVAL" or command[2:5] != [b"2", b"app", b"{app}:tokend"]:
            return b"-ERR unknown command\r\n"
        self.server.requests.append(command)
        if self.says is not None and not self.acts:
            return self.says
        done = {kind.PUT: self._put, kind.REMOVE: self._remove, kind.READ: self._get}[command[1].decode()](command[5:])
        return done if self.says is None else self.says

    def _compare(self, arguments: list[bytes]) -> tuple[str, bytes | None]:
        writer, generation, takes_over, field = (one.decode() for one in arguments[:4])
        suffix = f":{field}" if field else ""
        found, held = self.about.get(f"writer{suffix}"), self.about.get(f"generation{suffix}")
        if found is not None and found != writer and takes_over == "0":
            return suffix, _list(b"other", b"")
        if found == writer and held and generation and int(held) > int(generation):
            return suffix, _list(b"newer", held.encode())
        return suffix, None

    def _put(self, arguments: list[bytes]) -> bytes:
        suffix, refused = self._compare(arguments)
        if refused is not None:
            return refused
        self.values[f"app{suffix}"] = arguments[4]
        self.ends[f"app{suffix}"] = arguments[5].decode()
        self.about[f"writer{suffix}"], self.about[f"generation{suffix}"] = arguments[0].decode(), arguments[1].decode()
        if arguments[7]:
            self.published.append((arguments[7], arguments[8]))
        self._writes += 1
        return _list(b"ok", b"")

    def _remove(self, arguments: list[bytes]) -> bytes:
        suffix, refused = self._compare(arguments)
        if refused is not None:
            return refused
        self.values.pop(f"app{suffix}", None)
        self.about.pop(f"writer{suffix}", None)
        self.about.pop(f"generation{suffix}", None)
        return _list(b"ok", b"")

    def _get(self, arguments: list[bytes]) -> bytes:
        suffix = f":{arguments[0].decode()}" if arguments[0] else ""
        held = self.about.get(f"generation{suffix}")
        return _list(self.values.get(f"app{suffix}"), None if held is None else held.encode())

    def held(self) -> Held:
        found = self.values.get("app")
        return None if found is None else found.decode()

    def others(self) -> object:
        return {key: value for key, value in self.values.items() if key != "app"}

    def overwrite(self, value: str) -> None:
        self.values["app"] = value.encode()

    def delete(self) -> None:
        self.values.pop("app", None)

    def writes(self) -> int:
        return self._writes


class PlayedRedisHash(PlayedRedis):
    """The field ``token`` of the hash ``app``."""

    def __init__(self) -> None:
        super().__init__()
        self.values["app:theirs"] = b"somebody else's"

    def held(self) -> Held:
        found = self.values.get("app:token")
        return None if found is None else found.decode()

    def others(self) -> object:
        return {key: value for key, value in self.values.items() if key != "app:token"}

    def overwrite(self, value: str) -> None:
        self.values["app:token"] = value.encode()

    def delete(self) -> None:
        self.values.pop("app:token", None)


def _list(*members: bytes | None) -> bytes:
    written = (b"$-1\r\n" if one is None else b"$%d\r\n%b\r\n" % (len(one), one) for one in members)
    return b"*%d\r\n" % len(members) + b"".join(written)


def _read(reader: BinaryIO) -> list[bytes]:
    """Read one command; empty at the end."""
    first = reader.readline()
    found = []
    for _ in range(int(first[1:]) if first else 0):
        size = int(reader.readline()[1:])
        found.append(reader.read(size + 2)[:size])
    return found
