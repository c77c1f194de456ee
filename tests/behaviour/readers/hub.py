"""A SignalR hub on loopback, as much of it as a client needs: negotiation and the handshake.

The protocol: https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md (JSON), and
TransportProtocols.md beside it; WebSockets by RFC 6455.
"""

import base64
import hashlib
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.small_server import QuietHandler, serving

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_END = b"\x1e"  # of a message
_TEXT, _CLOSE = 1, 8


@dataclass
class Hub:
    """A running hub. ``tokens`` are those of the connections, in order; ``handshakes`` counts those that were made."""

    url: str = ""
    tokens: list[str] = field(default_factory=list)
    handshakes: int = 0
    accepted: set[str] = field(default_factory=set)
    _open: list[socket.socket] = field(default_factory=list)

    def drop_connections(self) -> None:
        """End all connections without a word, as a network does."""
        while self._open:
            self._open.pop().shutdown(socket.SHUT_RDWR)


@contextmanager
def hub() -> Iterator[Hub]:
    """Serve until the end of the block."""
    found = Hub()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def post(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = {
                "negotiateVersion": 1, "connectionId": "fake", "connectionToken": "fake",
                "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text"]}],
            }  # fmt: skip
            body = json.dumps(answer).encode() if self._token() in found.accepted else b""
            self.send_response(200 if body else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def get(self) -> None:
            self.close_connection = True
            token = self._token()
            found.tokens.append(token)
            if token not in found.accepted:
                self.send_error(401)
                return
            key = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + _MAGIC).encode()).digest()  # noqa: S324
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(key).decode())
            self.end_headers()
            self.wfile.flush()
            found._open.append(self.connection)
            try:
                self._talk()
            except (OSError, EOFError):
                return

        def _token(self) -> str:
            by_query = parse_qs(urlsplit(self.path).query).get("access_token", [""])[0]
            return by_query or self.headers.get("Authorization", "").removeprefix("Bearer ")

        def _talk(self) -> None:
            while (message := self._receive()) is not None:
                for part in message.split(_END)[:-1]:
                    if "protocol" in json.loads(part):
                        self._send({})
                        found.handshakes += 1

        def _receive(self) -> bytes | None:
            kind, length = self._read(2)
            length &= 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self._read(2))
            mask, data = self._read(4), self._read(length)
            if kind & 0x0F == _CLOSE:
                return None
            return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data)) if kind & 0x0F == _TEXT else b""

        def _read(self, size: int) -> bytes:
            data = self.rfile.read(size)
            if len(data) < size:
                raise EOFError
            return data

        def _send(self, message: dict[str, Any]) -> None:
            data = json.dumps(message).encode() + _END
            self.wfile.write(struct.pack(">BB", 0x80 | _TEXT, len(data)) + data)
            self.wfile.flush()

    with serving(Handler) as found.url:
        yield found
