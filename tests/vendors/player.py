"""A player of proofs: the real kind asks loopback servers, which stand for the vendor's hosts and follow the proof."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio

from tests.providers.live import LiveRuntime
from tests.small_server import QuietHandler, serving
from tests.vendors.proofs import ANY, ExpectedRequest, Outcome, PlayedExchange, Proof
from tokend.config.config_files import Document
from tokend.config.findings import Findings
from tokend.config.vendor_defaults import with_literals
from tokend.config.vendor_file import Vendor
from tokend.config.vendor_lookup import VendorLookup
from tokend.config.vendor_tables import with_defaults
from tokend.kinds import PROVIDERS
from tokend.plugin.login import BrowserLogin, DeviceLogin, Remembered
from tokend.plugin.settings import ProviderSettings
from tokend.values.errors import (
    AttemptError,
    ClockError,
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
)
from tokend.values.logins import Granted, Login
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token

MEANS = (
    (LostAnswerError, "lost"),
    (RateLimitedError, "rate_limited"),
    (LoginRefusedError, "login_required"),
    (RejectedError, "rejected"),
    (ClockError, "clock"),
)


class UnprovenError(AssertionError):
    """What happened is not what the proof says."""


class _Runtime(LiveRuntime):
    """The runtime of one proof; nothing was remembered before it."""

    def __init__(self, settings: ProviderSettings, *, unix: float) -> None:
        super().__init__(settings, unix=unix, environ={})
        self._kept: dict[str, Remembered] = {}

    def recall(self, key: str) -> Remembered | None:
        return self._kept.get(key)

    async def remember(self, key: str, document: JSON) -> None:
        self._kept[key] = Remembered(document, self.clock.instant())

    async def commit(self, key: str, change: Callable[[JSON], JSON]) -> JSON:
        kept = self._kept.get(key)
        await self.remember(key, new := change(None if kept is None else kept.document))
        return new


@dataclass
class _Script:
    """The exchanges of a proof, and what was wrong with the requests that came."""

    left: list[PlayedExchange]
    date: str
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, origin: str, handler: QuietHandler) -> tuple[int, bytes, dict[str, str]]:
        """Compare a request with the next one of the proof; returns its answer."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self.lock:
            if not self.left:
                self.faults.append(f"one request too many: {handler.command} {origin}{handler.path}")
                return 500, b"", {}
            exchange = self.left.pop(0)
        self.faults += _differences(exchange.request, origin, handler, body)
        said = exchange.answer
        if said.form is not None:
            kind, raw = "application/x-www-form-urlencoded", urlencode(said.form)
        elif said.text is not None:
            kind, raw = "text/plain", said.text
        else:
            kind, raw = "application/json", json.dumps(said.json_body)
        return said.status, raw.encode(), {"Content-Type": kind, "Date": self.date, **said.headers}


def play(vendor: Vendor, proof: Proof, *own: Path) -> None:
    """Play a proof. Raises `UnprovenError` with everything that differs."""
    raw = _table(vendor, proof, own)
    model = PROVIDERS.get(raw["kind"])
    assert model is not None
    script = _Script(list(proof.exchange), formatdate(proof.now.timestamp(), usegmt=True))
    with ExitStack() as stack:
        here = {origin: stack.enter_context(serving(_handler(script, origin))) for origin in sorted({*_origins(raw)})}
        settings = model.model_validate(_moved(raw, here), context={"directory": "/"})
        made = anyio.run(_made, settings, proof)
    if made.opens is not None:
        there = {url: origin for origin, url in here.items()}
        place = "/".join(made.opens["url"].split("/")[:3])
        made.opens["url"] = there.get(place, place) + made.opens["url"].removeprefix(place)
    faults = script.faults + [f"not sent: {one.request.method} {one.request.url}" for one in script.left]
    faults += made.differences(proof.outcome)
    if faults:
        raise UnprovenError(f"{vendor.name}: {proof.name}:\n" + "\n".join(faults))


@dataclass
class _Made:
    """What came of a proof."""

    settings: Any
    clock: Any
    opens: dict[str, Any] | None = None
    shows: dict[str, Any] | None = None
    granted: Granted | None = None
    token: Token | None = None
    error: AttemptError | None = None

    def differences(self, wanted: Outcome) -> list[str]:
        """Return what differs from the outcome of a proof."""
        found: dict[str, Any] = {"opens": self.opens, "shows": self.shows, **self._of_token(), **self._of_login()}
        error = self.error
        words = (word for one, word in MEANS if isinstance(error, one))
        found["means"] = None if error is None else next(words, "transient")
        if error is not None and error.reason == LoginRefusedError.reason:
            # Also where a person is wanted, and there is no login to begin.
            found["means"] = LoginRefusedError.reason
        found["pause"] = getattr(error, "retry_after", None)
        always = {"token", "refresh_token", "means"}
        given = {key: getattr(wanted, key) for key in Outcome.model_fields}
        given["opens"] = None if wanted.opens is None else dict(wanted.opens)
        return [
            f"{key}: expected {value!r}, found {found.get(key)!r}{f' ({error})' if key == 'means' and error else ''}"
            for key, value in given.items()
            if (value is not None or key in always) and not _same(value, found.get(key))
        ]

    def _of_token(self) -> dict[str, Any]:
        token = self.token if self.granted is None else self.granted.token
        if token is None:
            return {}
        ends = token.expires_at
        return {
            "token": token.value.reveal(),
            "expires_in": "never" if ends is None else round(token.issued_at.until(ends), 3),
            "expires_at": None if ends is None else ends.wall,
            "headers": self.settings.ready_headers(token),
            "extra": {name: one.reveal() if isinstance(one, Secret) else one for name, one in token.extra.items()},
        }

    def _of_login(self) -> dict[str, Any]:
        if self.granted is None:
            return {}
        granted = self.granted
        ends = granted.refresh_ends_at
        return {
            "refresh_token": None if granted.refresh_token is None else granted.refresh_token.reveal(),
            "refresh_expires_in": None if ends is None else round(granted.answered_at.until(ends), 3),
            "subject": granted.subject,
        }


async def _made(settings: Any, proof: Proof) -> _Made:
    runtime = _Runtime(settings, unix=proof.now.timestamp())
    made = _Made(settings, runtime.clock)
    try:
        if proof.does == "issue":
            settings.check(proof.parameters)
            made.token = await settings.issue(runtime, proof.parameters)
        elif proof.does in {"fetch", "renew"}:
            made.token = await settings.fetch(runtime, _held_token(proof, runtime) if proof.does == "renew" else None)
        elif proof.does == "refresh":
            made.granted = await settings.refresh(runtime, _login(settings, proof, runtime))
        elif proof.does == "browser":
            begun: BrowserLogin = await settings.begin_browser(runtime, None)
            parts = urlsplit(begun.url)
            asked = dict(parse_qsl(parts.query, keep_blank_values=True))
            made.opens = {"url": f"{parts.scheme}://{parts.netloc}{parts.path}", "query": asked}
            brought = {key: value.replace("{state}", begun.state.reveal()) for key, value in proof.person.items()}
            joint = "&" if "?" in begun.redirect_uri else "?"
            address = f"{begun.redirect_uri}{joint}{urlencode(brought)}"
            made.granted = await settings.finish_browser(runtime, begun, address)
        else:
            await _on_device(settings, runtime, made, len(proof.exchange) - 1)
    except AttemptError as error:
        made.error = error
    if made.granted is not None:
        made.error = made.granted.fault
    return made


async def _on_device(settings: Any, runtime: _Runtime, made: _Made, polls: int) -> None:
    begun: DeviceLogin = await settings.begin_device(runtime)
    made.shows = {
        "verification_uri": begun.verification_uri,
        "user_code": begun.user_code,
        "interval": begun.interval_seconds,
    }
    for _ in range(polls):
        answered = await settings.poll_device(runtime, begun)
        if isinstance(answered, Granted):
            made.granted = answered
            return
        made.shows["interval"] = answered


def _held_token(proof: Proof, runtime: _Runtime) -> Token:
    now = runtime.clock.instant()
    return Token(
        value=Secret(proof.has.token or ""),
        token_type="Bearer",
        issued_at=now.after(-60),
        expires_at=now.after(proof.has.expires_in),
        extra=proof.has.extra,
    )


def _login(settings: Any, proof: Proof, runtime: _Runtime) -> Login:
    hour_ago = runtime.clock.instant().after(-3600)
    return Login(Secret(proof.has.refresh_token or ""), settings.login_client, None, hour_ago, hour_ago)


def _table(vendor: Vendor, proof: Proof, own: tuple[Path, ...]) -> dict[str, Any]:
    """Return the table that a user of the proof would have. Fails if the vendor needs something that it lacks."""
    findings = Findings()
    table = {"vendor": {"name": vendor.name, **proof.vendor}, **proof.table}
    document = Document(Path("/proof.toml"), "", {"providers": {"proof": table}})
    whole = with_defaults(VendorLookup(own, findings), document, ("providers", "proof"), table, findings)
    assert whole is not None and not findings.errors, "\n".join(map(str, findings.errors))
    return with_literals(whole, document.defaults["proof"].given)


def _origins(value: Any, key: str = "") -> Any:
    """Yield the origins of the vendor's hosts: of the URLs in a table."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _origins(one, name)
    elif isinstance(value, str) and _is_url(key, value):
        yield _origin(value)


def _moved(value: Any, here: Mapping[str, str], key: str = "") -> Any:
    """Return a table with its URLs at the loopback servers."""
    if isinstance(value, Mapping):
        return {name: _moved(one, here, name) for name, one in value.items()}
    if isinstance(value, str) and _is_url(key, value):
        return here[_origin(value)] + value[len(_origin(value)) :]
    return value


def _is_url(key: str, value: str) -> bool:
    return (key in {"url", "issuer"} or key.endswith("_url")) and value.startswith("https://")


def _origin(url: str) -> str:
    return "https://" + url.removeprefix("https://").partition("/")[0].partition("?")[0]


def _handler(script: _Script, origin: str) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def get(self) -> None:
            status, body, headers = script.answer(origin, self)
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _differences(wanted: ExpectedRequest, origin: str, handler: QuietHandler, body: bytes) -> list[str]:
    url, _, query = f"{origin}{handler.path}".partition("?")
    asked, _, own = wanted.url.partition("?")
    found: list[tuple[str, Any, Any]] = [
        ("method", wanted.method, handler.command),
        ("url", asked, url),
        ("query", {**dict(parse_qsl(own)), **wanted.query}, dict(parse_qsl(query, keep_blank_values=True))),
    ]
    found += [(f"header {name}", text, handler.headers.get(name, "")) for name, text in wanted.headers.items()]
    if wanted.json_body is not None:
        found.append(("json", wanted.json_body, _json(body)))
    elif wanted.form is not None:
        found.append(("form", wanted.form, dict(parse_qsl(body.decode(), keep_blank_values=True))))
    else:
        found.append(("text", wanted.text or "", body.decode()))
    return [
        f"{wanted.method} {wanted.url}: {what}: expected {one!r}, found {other!r}"
        for what, one, other in found
        if not _same(one, other)
    ]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _same(wanted: Any, found: Any) -> bool:
    """Compare a value of a proof with what came; `ANY` is any text that is not empty."""
    if wanted == ANY:
        return isinstance(found, str) and bool(found)
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return wanted.keys() == found.keys() and all(_same(wanted[key], found[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_same, wanted, found))
    return bool(wanted == found) and isinstance(wanted, bool) == isinstance(found, bool)
