"""A person at an authorization server's pages, without a browser: cookies, links of redirects, and forms."""

import http.cookiejar
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import IO, Any
from urllib.parse import urlencode, urljoin, urlsplit

_MOST_PAGES = 20
PATIENCE_SECONDS = 20


@dataclass
class _Form:
    action: str = ""
    method: str = "get"
    fields: list[tuple[str, str]] = field(default_factory=list)
    button: bool = False


class _Forms(HTMLParser):
    """The first form of a page; a person presses its first button."""

    def __init__(self, typed: Mapping[str, str]) -> None:
        super().__init__()
        self.found: _Form | None = None
        self._typed, self._inside = typed, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.found is None:
            self.found, self._inside = _Form(given.get("action", ""), given.get("method", "get").lower()), True
        if not self._inside or self.found is None or not given.get("name"):
            return
        if tag == "button" and not self.found.button:
            self.found.button = True
            self.found.fields.append((given["name"], given.get("value", "")))
        if tag == "input":
            self.found.fields.append((given["name"], self._typed.get(given["name"], given.get("value", ""))))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"


class _StaysHere(urllib.request.HTTPRedirectHandler):
    """Redirects are followed on one server only."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Person:
    """Somebody with a name and any password, who allows what is asked. Each one has cookies of their own."""

    def __init__(self, name: str = "person") -> None:
        self._typed = {"login": name, "password": "fake-password", "account": name}
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            _StaysHere(),
        )

    def allow(self, url: str) -> str:
        """Open an address and go on to the end: where the browser is sent elsewhere, or the last page's text."""
        request = urllib.request.Request(url)  # noqa: S310  (loopback)
        for _ in range(_MOST_PAGES):
            try:
                with self._opener.open(request, timeout=PATIENCE_SECONDS) as reply:
                    at, text = reply.url, reply.read().decode()
            except urllib.error.HTTPError as reply:
                with reply:
                    if location := reply.headers.get("Location"):
                        return urljoin(request.full_url, location)
                    raise AssertionError(
                        f"{reply.code} of {urlsplit(request.full_url).path}: {reply.read()!r}"
                    ) from None
            forms = _Forms(self._typed)
            forms.feed(text)
            if forms.found is None:
                return str(text)
            request = _sent(at, forms.found)
        raise AssertionError("the pages never end")


def _sent(at: str, form: _Form) -> urllib.request.Request:
    data = urlencode(form.fields)
    target = urljoin(at, form.action)
    if form.method == "post":
        return urllib.request.Request(target, data.encode())  # noqa: S310  (loopback)
    return urllib.request.Request(f"{target}?{data}")  # noqa: S310  (loopback)
