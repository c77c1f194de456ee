"""A NATS server with one bucket, as far as the sink asks it: tests/counterparts asks a real one."""

import base64
import json
import socket
from typing import Any, BinaryIO

from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore
from tests.sinks.stores.played_redis import _Listener

INFO = {
    "server_id": "FAKE",
    "version": "2.10.0",
    "proto": 1,
    "max_payload": 1048576,
    "headers": True,
    "jetstream": True,
}
SUBJECT = "$KV.app.token"


class PlayedNats(PlayedStore):
    """The bucket ``app``, whose entries are in order; ``says`` is sent instead of the answer to a write."""

    def __init__(self) -> None:
        self.refusing = False
        self.exists = True
        self.entries: list[tuple[str, dict[str, str], bytes]] = [("$KV.app.other", {}, b"somebody else's")]
        self.says: bytes | None = None
        self.acts = True
        self._writes = 0
        self.server: Any = _Listener(self._serve)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.server.port}"

    def keys(self) -> dict[str, Any]:
        return {"url": self.url}

    def answer(self, asked: Asked) -> Answer:
        raise AssertionError("it speaks no HTTP")

    def _serve(self, connection: socket.socket) -> None:
        connection.sendall(b"INFO " + json.dumps(INFO).encode() + b"\r\n")
        inboxes: dict[str, str] = {}
        with connection.makefile("rb") as reader:
            while line := reader.readline():
                verb, *words = line.decode().split()
                if verb == "CONNECT" and self.refusing:
                    connection.sendall(b"-ERR 'Authorization Violation'\r\n")
                    return
                if verb == "PING":
                    connection.sendall(b"PONG\r\n")
                elif verb == "SUB":
                    inboxes[words[0].rstrip("*")] = words[-1]
                elif verb in {"PUB", "HPUB"}:
                    subject, reply, headers, payload = _published(verb, words, reader)
                    answer = self._asked(subject, headers, payload)
                    number = next(n for prefix, n in inboxes.items() if reply.startswith(prefix))
                    if answer is not None:
                        connection.sendall(f"MSG {reply} {number} {len(answer)}\r\n".encode() + answer + b"\r\n")

    def _asked(self, subject: str, headers: dict[str, str], payload: bytes) -> bytes | None:
        self.server.requests.append([subject.encode()])
        if subject.startswith("$JS.API.STREAM.CREATE."):
            self.exists = True
            return b"{}"
        if not self.exists:
            return _error(404, 10059)
        if subject == "$JS.API.STREAM.MSG.GET.KV_app":
            return self._last(json.loads(payload)["last_by_subj"])
        if self.says is not None and not self.acts:
            return self.says
        revision = max((n for n, entry in enumerate(self.entries, 1) if entry[0] == subject), default=0)
        if headers.get("Nats-Expected-Last-Subject-Sequence") != str(revision):
            return _error(400, 10071)
        self.entries.append((subject, headers, payload))
        self._writes += 1
        if self.says is not None:
            return self.says or None
        return json.dumps({"stream": "KV_app", "seq": len(self.entries)}).encode()

    def _last(self, subject: str) -> bytes:
        for number, (name, headers, value) in reversed([*enumerate(self.entries, 1)]):
            if name == subject:
                lines = "NATS/1.0\r\n" + "".join(f"{key}: {one}\r\n" for key, one in headers.items()) + "\r\n"
                message = {"subject": subject, "seq": number, "data": base64.b64encode(value).decode()}
                if headers:
                    message["hdrs"] = base64.b64encode(lines.encode()).decode()
                return json.dumps({"message": message}).encode()
        return _error(404, 10037)

    def held(self) -> Held:
        entries = [entry for entry in self.entries if entry[0] == SUBJECT]
        return None if not entries or "KV-Operation" in entries[-1][1] else entries[-1][2].decode()

    def others(self) -> object:
        return [entry for entry in self.entries if entry[0] != SUBJECT]

    def overwrite(self, value: str) -> None:
        self.entries.append((SUBJECT, {}, value.encode()))

    def delete(self) -> None:
        self.entries.append((SUBJECT, {"KV-Operation": "DEL"}, b""))

    def writes(self) -> int:
        return self._writes


def _error(status: int, code: int) -> bytes:
    return json.dumps({"error": {"code": status, "err_code": code, "description": "planted"}}).encode()


def _published(verb: str, words: list[str], reader: BinaryIO) -> tuple[str, str, dict[str, str], bytes]:
    """Read the rest of a publication: its subject, reply subject, headers and payload."""
    size = int(words[-1])
    whole = reader.read(size + 2)[:size]
    if verb == "PUB":
        return words[0], words[1], {}, whole
    head, payload = whole[: int(words[-2])].decode(), whole[int(words[-2]) :]
    lines = [line.partition(":") for line in head.split("\r\n")[1:] if ":" in line]
    return words[0], words[1], {name: value.strip() for name, _, value in lines}, payload
