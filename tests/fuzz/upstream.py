"""Input from upstreams: whole replies to every kind, times in all their forms, and URLs."""

import json
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from tests.providers.live import ENVIRON, NOW, env
from tests.upstream.clocks import StandingClock
from tokend.machine.command import EndedCommand
from tokend.plugin.clean_command import run_clean
from tokend.plugin.found_token import Source
from tokend.plugin.http_date import http_date
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.login import Remembered
from tokend.plugin.response_status import LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS, retry_after
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings_base import parse_duration
from tokend.plugin.strict_json import try_object
from tokend.plugin.text import header_text
from tokend.plugin.token_check import check_token
from tokend.plugin.token_expiry import LONGEST_LIFE_SECONDS, expiry
from tokend.plugin.token_formats import Format, read_token
from tokend.providers.auth_token import AuthToken
from tokend.providers.oauth2.kind import OAuth2
from tokend.providers.projectx import ProjectX
from tokend.providers.tt import TT
from tokend.upstream.client import _offset
from tokend.values.errors import AttemptError, InvalidParametersError, TransientError
from tokend.values.instant import Instant
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token, native
from tokend.values.url import host_of, path_of, same_origin, validate_base_url

T = TypeVar("T")
CLOCK = StandingClock(NOW)
# An upstream may write what it likes into its reply; none of it may reach a message.
FORMATS: dict[str, Format] = {"native": "native", "oauth": "oauth", "exec-credential": "exec-credential", "aws": "aws"}
ECHO = "planted-fake-echo"
URL = "https://upstream.example"
KINDS: dict[str, Any] = {
    "projectx": ProjectX(base_url=URL, username=env("USERNAME"), api_key=env("API_KEY")),
    "validate": ProjectX(base_url=URL, username=env("USERNAME"), api_key=env("API_KEY"), refresh="validate"),
    "tt": TT(
        base_url=URL, environment="uat", api_key=env("API_KEY"), api_secret=env("API_SECRET"),
        app_name="App", company_name="Company",
    ),
    "auth-token": AuthToken(base_url=URL, client_secret=env("CLIENT_SECRET")),
    "oauth2": OAuth2(
        token_url=f"{URL}/token", grant="client_credentials", client_id="fake", client_secret=env("CLIENT_SECRET")
    ),
    "oauth2-declared": OAuth2.model_validate({
        "token_url": f"{URL}/token", "grant": "client_credentials", "client_id": "fake",
        "client_secret": env("CLIENT_SECRET"), "headers": {"X": "{extra.a}"},
        "answer": {"token": "t || access_token", "extra": {"a": "a"}, "secret_extra": {"b": "b"}},
        "errors": [{"when": "gone", "means": "rejected"}, {"text": "slow", "means": "rate_limited", "pause": "9s"}],
    }),
    "oauth2-discovered": OAuth2(
        issuer=URL, grant="client_credentials", client_id="fake", client_secret=env("CLIENT_SECRET")
    ),
    "oauth2-login": OAuth2.model_validate({
        "token_url": f"{URL}/token", "grant": "refresh_token", "client_id": "fake", "answer": {"subject": "user.id"},
        "refresh_token": env("API_SECRET"),
    }),
}  # fmt: skip
# Written once, with nothing of the input in them.
DURATION_ERRORS = {
    'a duration is a whole number with a unit: "500ms", "30s", "15m", "12h", "1d"',
    "a duration is at most ten years",
    "a duration is at least 1ms",
}
PARAMETERS = {"clientId": "C1", "username": "u", "displayName": "d", "ipAddress": "::1"}
LOGIN = Login(Secret(ENVIRON["API_SECRET"]), LoginClient("oauth2", URL, "fake"), None, CLOCK.instant(), CLOCK.instant())
PREVIOUS = Token(Secret("obviously-fake-token-before"), "Bearer", CLOCK.instant(), CLOCK.instant().after(7200))


class ScriptedRuntime:
    """`plugin.provider.Runtime` whose exchanges were held already; the last one is held again and again."""

    clock = CLOCK

    def __init__(self, script: list[UpstreamReply]) -> None:
        self.script = script
        self.sent: list[UpstreamRequest] = []

    @property
    def requests(self) -> int:
        return len(self.sent)

    def upstream_now(self) -> datetime:
        return CLOCK.instant().wall

    async def reveal(self, source: SecretSource) -> Secret:
        return read_secret(source, ENVIRON)

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        self.sent.append(request)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def recall(self, key: str) -> Remembered | None:
        return None

    async def remember(self, key: str, document: JSON) -> None:
        assert document

    async def commit(self, key: str, change: Callable[[JSON], JSON]) -> JSON:
        return change(None)

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        return call()

    async def run_command(
        self, argv: Sequence[str], added: Mapping[str, Secret], *, seconds: float, output_limit: int
    ) -> EndedCommand:
        return run_clean(argv, added, seconds=seconds, output_limit=output_limit, environ=ENVIRON)


def replies(data: bytes) -> None:
    """One or two replies of an upstream: a good token or a known error, which quotes neither them nor our secrets.

    The first line names the kind; replies are ``status, header lines, empty line, body``, parted by ``====``.
    """
    name, _, rest = data.partition(b"\n")
    settings = KINDS.get(name.decode("latin-1"))
    if settings is None:
        return
    runtime = ScriptedRuntime([_reply(part) for part in rest.split(b"\n====\n")[:2]])
    try:
        if isinstance(settings, AuthToken):
            token = finished(settings.issue(runtime, PARAMETERS))
        elif isinstance(settings, OAuth2) and settings.uses_login:
            token = _of_login(finished(settings.refresh(runtime, LOGIN)))
        else:
            token = finished(settings.fetch(runtime, PREVIOUS))
    except InvalidParametersError as error:
        told = json.dumps(error.errors, ensure_ascii=False)
        assert ENVIRON["CLIENT_SECRET"] not in told
        assert len(json.dumps(error.errors)) <= 4096 + 64
        assert all(line.isprintable() for lines in error.errors.values() for line in lines)
    except AttemptError as error:
        assert ECHO not in error.detail
        assert not any(secret in error.detail for key, secret in ENVIRON.items() if key != "USERNAME")
        assert error.detail.isprintable()
        pause = getattr(error, "retry_after", None)
        assert pause is None or SHORTEST_PAUSE_SECONDS <= pause <= LONGEST_PAUSE_SECONDS
    else:
        _believable(token)
    for request in runtime.sent:
        assert request.url.startswith(URL + "/"), "a secret went to another host"


def expiries(data: bytes) -> None:
    """Four lines: absolute, relative, a `Date`, a `Retry-After`; numbers and text in JSON, dates as they are sent."""
    lines = [line.decode("latin-1").strip() for line in data.split(b"\n")]
    absolute, relative, date, pause = (*lines, "", "", "", "")[:4]
    sent = CLOCK.instant()
    dated = http_date(date)
    assert dated is None or dated.tzinfo is UTC
    offset = _offset(dated, sent, sent.after(0.2))
    assert math.isfinite(offset)
    reply = UpstreamReply(status=200, headers={"retry-after": pause}, body=b"", sent_at=sent, date=dated, offset=offset)
    seconds = retry_after(reply)
    assert seconds is None or SHORTEST_PAUSE_SECONDS <= seconds <= LONGEST_PAUSE_SECONDS
    try:
        parse_duration(relative)
    except ValueError as error:
        assert str(error) in DURATION_ERRORS
    said = {}
    for name, text in (("absolute", absolute), ("relative", relative)):
        if (value := try_object(b'{"value": ' + text.encode() + b"}")) is not None:
            said[name] = value["value"]
        elif text:
            said[name] = text
    try:
        end = expiry(reply, Secret(f"a.{quote(absolute)}.b"), host="host", default_seconds=60.0, **said)
    except TransientError:
        return
    assert end is not None
    assert 0 < sent.until(end) <= LONGEST_LIFE_SECONDS


def formats(data: bytes) -> None:
    """What a program prints or a file holds: a good token or a known error, which quotes nothing of it.

    The first line names the format.
    """
    name, _, rest = data.partition(b"\n")
    form = name.decode("latin-1")
    now = CLOCK.instant()
    source = Source("command mint", "printed")
    try:
        found = read_token(rest, FORMATS.get(form, "raw"), source)
        token = found.token(now=now, counted_from=now.after(-60), previous=PREVIOUS)
    except TransientError as error:
        assert error.detail.startswith("command mint ")
        assert ECHO not in error.detail
        assert error.detail.isprintable()
        return
    _believable(token)
    check_token(token)


def urls(data: bytes) -> None:
    """A base URL that is accepted is the same place to every client; two lines of one origin are so to both."""
    first, second = (*(line.decode("utf-8", "replace") for line in data.split(b"\n")), "")[:2]
    try:
        accepted = validate_base_url(first)
    except ValueError as error:
        assert "@" not in first or first not in str(error)
        return
    theirs = httpx.URL(accepted + "/token")
    assert theirs.scheme in {"https", "http"}
    assert host_of(accepted) == _host_of(theirs), accepted
    assert path_of(accepted + "/token").encode() == theirs.raw_path
    if same_origin(accepted, second):
        try:
            other = httpx.URL(second)
        except httpx.InvalidURL:
            return  # cannot be asked at all
        assert (theirs.scheme, _host_of(theirs)) == (other.scheme, _host_of(other)), second
        assert not other.userinfo


def _host_of(url: httpx.URL) -> str:
    host = url.raw_host.decode()
    return f"{f'[{host}]' if ':' in host else host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _reply(raw: bytes) -> UpstreamReply:
    head, _, body = raw.partition(b"\n\n")
    status, *lines = head.decode("latin-1").split("\n")
    pairs = [line.partition(":") for line in lines]
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    date = http_date(headers.get("date", ""))
    sent = CLOCK.instant()
    return UpstreamReply(
        status=int(status) if status.isascii() and status.isdigit() and 2 < len(status) < 4 else 200,
        headers=headers,
        body=body,
        sent_at=sent,
        date=date,
        offset=_offset(date, sent, sent.after(0.1)),
    )


def _of_login(granted: Granted) -> Token:
    """Return the token that a login was granted, else raise its fault. What is kept can be kept."""
    new = granted.refresh_token
    assert new is None or (new.reveal().isascii() and new.reveal().isprintable() and new)
    assert granted.subject is None or granted.subject.isprintable()
    assert granted.refresh_ends_at is None or CLOCK.instant().until(granted.refresh_ends_at) > 0
    if granted.token is None:
        assert granted.fault is not None
        raise granted.fault
    return granted.token


def _believable(token: Token) -> None:
    value = token.value.reveal()
    assert value.isascii()
    assert value.isprintable()
    for secret in token.headers.values():
        header_text(secret, "a header")
    life = token.life_seconds
    assert life is None or 0 < life <= LONGEST_LIFE_SECONDS
    assert value not in repr(token) or len(value) < 12
    json.dumps([token.token_type, {k: str(v) for k, v in token.extra.items()}], allow_nan=False).encode()
    native(_lease(token))


def _lease(token: Token) -> Any:
    from tokend.values.tokens import Lease

    refresh: Instant | None = token.expires_at
    return Lease("fuzzed", token, 1, refresh, "0123456789ab")


def finished(call: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that waits for nothing returns."""
    try:
        call.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    raise AssertionError("it waits for something")
