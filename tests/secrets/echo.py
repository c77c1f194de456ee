"""An upstream that gives back all it was sent, in every place of a reply where something may stand."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

Raw = bytes


def _said(status: str, headers: dict[str, str], body: bytes) -> Raw:
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in lines.items()), "", ""]
    return "\r\n".join(head).encode("latin-1") + body


# By the last part of the path: what is answered to a request of which ``seen`` is everything, on one line.
def answers(mode: str, seen: str, elsewhere: str) -> Raw:
    """The reply of a mode."""
    body = json.dumps({"error": seen, "message": seen, "errorMessage": seen}).encode()
    match mode:
        case "server-error":
            return _said("500 " + seen, {"X-Debug": seen, "Retry-After": seen, "Set-Cookie": f"s={quote(seen)}"}, body)
        case "verdict":
            return _said("401 Unauthorized", {"WWW-Authenticate": f'Bearer error="{seen}"'}, body)
        case "bad-request":
            problem = {"title": seen, "status": 400, "errors": {seen: [seen]}, "data": {"errors": {"username": [seen]}}}
            return _said("400 " + seen, {}, json.dumps(problem).encode())
        case "redirect":
            return _said("307 Temporary", {"Location": f"{elsewhere}/?{quote(seen)}"}, body)
        case "see-other":
            return _said("303 See Other", {"Location": f"{elsewhere}/{quote(seen)}"}, body)
        case "code":
            wrong = {"success": False, "errorCode": 3, "status": "Fail", "token": seen, "status_message": seen}
            return _said("200 OK", {}, json.dumps(wrong).encode())
        case "controls":
            token = {
                "success": True,
                "errorCode": 0,
                "token": seen + "\x07\n",
                "status": "Ok",
                "access_token": "\x1b" + seen,
            }
            return _said("200 OK", {}, json.dumps(token).encode())
        case "lifetime":
            token = {"success": True, "token": "obviously-fake", "expiresIn": seen, "access_token": "obviously-fake"}
            return _said("200 OK", {}, json.dumps({**token, "status": "Ok", "seconds_until_expiry": seen}).encode())
        case "not-json":
            return _said("200 OK", {"Content-Type": f"text/{quote(seen)[:60]}"}, b"<html>" + seen.encode() + b"</html>")
        case "bad-header":
            return b"HTTP/1.1 200 OK\r\n" + seen.encode() + b"\r\n\x00" + seen.encode() + b": x\r\n\r\n"
        case "bad-status":
            return b"HTTP/1.1 " + seen.encode() + b"\r\n\r\n"
        case "bad-chunk":
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + seen.encode() + b"\r\n" + seen.encode()
        case "encoding":
            return _said("200 OK", {"Content-Encoding": quote(seen)}, body)
        case "short":
            return _said("200 OK", {"Content-Length": "99999"}, seen.encode())
        case "proxy":
            return _said("407 " + seen, {"Proxy-Authenticate": f'Basic realm="{seen}"'}, body)
    raise AssertionError(mode)


MODES = (
    "server-error", "verdict", "bad-request", "redirect", "see-other", "code", "controls", "lifetime", "not-json",
    "bad-header", "bad-status", "bad-chunk", "encoding", "short",
)  # fmt: skip


class Echo(ThreadingHTTPServer):
    """Answers ``/MODE/…`` as `answers` says, with what it was sent and what it ``knows`` besides.

    ``received`` are all requests, ``elsewhere`` has those that were led on.
    """

    def __init__(self, elsewhere: "Echo | None", knows: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.knows = knows
        self.received: list[str] = []
        self.elsewhere = elsewhere

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Echo

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        text = body.decode()
        decoded = [
            base64.b64decode(v.split()[-1]).decode("latin-1") for v in self.headers.get_all("Proxy-Authorization", [])
        ]
        # Only the vendor of the login links can know the secret that their requests are signed with.
        knows = [self.server.knows] if "generate-auth-token" in self.path else []
        seen = " ".join([self.path, *map(str, self.headers.values()), *text.splitlines(), *decoded, *knows])
        self.server.received.append(seen)
        where = self.server.elsewhere
        mode = "redirect" if where is None else "proxy" if self.command == "CONNECT" else self.path.split("/")[1]
        self.wfile.write(answers(mode, seen, "http://nowhere.invalid" if where is None else where.url))
        self.close_connection = True

    do_POST = do_GET  # noqa: N815
    do_CONNECT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def echoing(knows: str) -> Iterator[Echo]:
    """One that answers, and behind it one that nobody should ever ask."""
    elsewhere = Echo(None, knows)
    servers = [Echo(elsewhere, knows), elsewhere]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield servers[0]
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
