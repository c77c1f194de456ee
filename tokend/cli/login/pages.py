"""The pages that a browser gets at the end of a login. They are fixed: nothing of a request is in them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, TypeAlias

Page: TypeAlias = Literal["done", "failed", "later", "refused"]

PAGES: Mapping[Page, tuple[HTTPStatus, str, str]] = {
    "done": (HTTPStatus.OK, "You are logged in", "You can close this window."),
    "failed": (HTTPStatus.BAD_REQUEST, "The login has failed", "The terminal says why."),
    "later": (HTTPStatus.ACCEPTED, "The login is not finished yet", "The terminal says what it waits for."),
    "refused": (HTTPStatus.BAD_REQUEST, "This is no address of the login under way", "Nothing was changed."),
}
_HEADERS = (
    "Content-Type: text/html; charset=utf-8",
    "Cache-Control: no-store",
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy: no-referrer",
    "X-Content-Type-Options: nosniff",
    "Connection: close",
)
_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>tokend</title>
<style>body{{font:1.1em system-ui,sans-serif;margin:20vh auto;max-width:30em;text-align:center}}</style></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""


def page_bytes(status: HTTPStatus, page: Page) -> bytes:
    """Return the whole answer."""
    _, title, text = PAGES[page]
    body = _HTML.format(title=title, text=text).encode()
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *_HEADERS, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
