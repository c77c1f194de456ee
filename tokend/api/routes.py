"""Every path, its methods, and what they answer. Reading bytes is `connection`'s part, meaning is the engine's."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tokend.api import problems
from tokend.api.answers import Answer, json_answer
from tokend.api.openapi import DESCRIPTION
from tokend.api.problems import RequestError, bad_request, not_supported, problem
from tokend.api.requests import BROWSER_HEADERS, Request, duration_parameter, wants_plain
from tokend.api.service import Service, unavailable
from tokend.api.views import Prepared, issued, prepare, row, status_row
from tokend.errors import ConfigError, DeniedError, InvalidParametersError, ReaderError, WaitTimeoutError
from tokend.interfaces import Entry
from tokend.settings import OnDemandSettings
from tokend.tokens import Lease, utc

# A reason is a word for the log ("unauthorized"), not a story.
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One request in its surroundings; ``entry`` is the token it names, which the peer may see."""

    service: Service
    request: Request
    query: Mapping[str, str]
    entry: Entry | None = None

    @property
    def token(self) -> Entry:
        """The token that the path names; only for routes below ``/v1/tokens/{name}``."""
        if self.entry is None:
            raise RuntimeError("this route names no token")
        return self.entry

    @property
    def admin(self) -> bool:
        """Whether the peer is an administrator."""
        return self.service.rules.is_admin(self.request.peer)


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path, and the query parameters it knows."""

    handler: Callable[[Call], Awaitable[Answer]]
    query: frozenset[str] = frozenset()


async def respond(service: Service, request: Request) -> Answer:
    """Answer any request; never raises but for cancellation."""
    token = ""
    try:
        _refuse_browsers(request)
        route, name = _find(request)
        query = request.query(route.query)
        entry = None if name is None else service.visible(request.peer, name)
        token = "" if entry is None else entry.name
        answer = await route.handler(Call(service, request, query, entry))
        if entry is not None and service.audit_reads:
            service.log.debug("client.read", uid=request.peer.uid, token=token, path=request.segments[-1])
    except (RequestError, ReaderError) as error:
        if error.code == "denied":
            service.denied(request.peer, token=token or None, detail=str(error))
        answer = problem(error, now=service.engine.clock.instant().wall)
    except InvalidParametersError as error:
        answer = problems.invalid_parameters(error)
    except ConfigError as error:
        answer = problems.invalid_config(error)
    except Exception as error:  # a bug: this request's alone
        # The class and the place only: a message could quote what it choked on.
        service.log.error("client.failed", uid=request.peer.uid, token=token or None, **_place(error))
        answer = problems.internal()
    service.count(token, answer.status)
    return answer


def memorable(service: Service, request: Request) -> tuple[Prepared, bool] | None:
    """What a plain read of a token is answered with while that token is valid, and whether raw; None for all else."""
    if service.audit_reads:
        return None  # each read is a line then
    try:
        _refuse_browsers(request)
        route, name = _find(request)
        entry = None if name is None else service.engine.entries.get(name)
        plain = wants_plain(request.header(b"accept"))
    except (RequestError, ReaderError):
        return None
    if route.handler is not read_token or entry is None:
        return None
    if not service.rules.may_read(request.peer, entry.settings.access):
        return None
    prepared = service.prepared(entry)
    return None if prepared is None else (prepared, plain)


# ------------------------------------------------------------------ one token


async def read_token(call: Call) -> Answer:
    """GET /v1/tokens/{name}: the token as it is, or as fresh as min_ttl asks, or once Prefer: wait is satisfied."""
    entry, request = call.token, call.request
    if isinstance(entry.settings, OnDemandSettings):
        raise not_supported(f"{entry.name!r} is issued on demand: POST /v1/tokens/{entry.name}/issue", allow="")
    plain = wants_plain(request.header(b"accept"))
    ttl = duration_parameter(call.query, "min_ttl")
    if (wait := request.wait_seconds()) is not None:
        await _wait_for_change(call, wait)
        entry = call.service.visible(request.peer, entry.name)  # a reload may have changed or taken it meanwhile
    if ttl is None:
        prepared = call.service.valid(entry)
        answer = prepared.plain if plain else prepared.json
        generation = prepared.lease.generation
    else:
        lease = await call.service.engine.fresh(entry.name, ttl.total_seconds(), admin=call.admin)
        answer, generation = _lease_answer(call, lease, plain=plain), lease.generation
    if request.header(b"if-none-match") is not None and request.matches_etag(generation):
        return Answer(304, content_type=None, headers=answer.headers)
    return answer


async def refresh_token(call: Call) -> Answer:
    """POST …/refresh: one attempt now, unless the token is newer than ``if_generation`` already."""
    entry = call.token
    if isinstance(entry.settings, OnDemandSettings):
        raise not_supported(f"{entry.name!r} is issued on demand and never refreshed", allow="")
    plain = wants_plain(call.request.header(b"accept"))
    body = call.request.json_object(frozenset(("if_generation", "reason")))
    generation, reason = body.get("if_generation"), body.get("reason")
    if generation is not None and type(generation) is not int:
        raise bad_request("if_generation must be an integer", errors={"if_generation": ["must be an integer"]})
    if reason is not None and (type(reason) is not str or len(reason) > LONGEST_REASON):
        text = f"must be a string of at most {LONGEST_REASON} characters"
        raise bad_request(f"reason {text}", errors={"reason": [text]})
    if generation is None and not call.admin:
        raise DeniedError("only admins refresh unconditionally; send if_generation, the generation that failed you")
    shown = "".join(c if c.isprintable() else "?" for c in reason or "")
    lease = await call.service.engine.refresh(entry.name, if_generation=generation, reason=shown, admin=call.admin)
    return _lease_answer(call, lease, plain=plain)


async def issue_token(call: Call) -> Answer:
    """POST …/issue: one on-demand token from the caller's parameters."""
    entry = call.token
    if not isinstance(entry.settings, OnDemandSettings):
        raise not_supported(f"{entry.name!r} is held ready: GET /v1/tokens/{entry.name}", allow="")
    plain = wants_plain(call.request.header(b"accept"))
    if not call.request.body:
        raise bad_request("the parameters are missing: send a JSON object of strings as the body")
    parameters = call.request.json_object()
    if wrong := {key: ["must be a string"] for key, value in parameters.items() if not isinstance(value, str)}:
        raise bad_request("parameters must be strings: " + ", ".join(sorted(wrong)), errors=wrong)
    token = await call.service.engine.issue(entry.name, parameters)
    if plain:
        return Answer(201, token.value.reveal().encode(), "text/plain; charset=utf-8")
    return json_answer(issued(entry.name, token, entry.settings), status=201)


async def make_request_id(call: Call) -> Answer:
    """POST …/request-id: a new id for one call to the upstream."""
    call.request.json_object(frozenset())
    return json_answer({"request_id": await call.service.engine.request_id(call.token.name)})


async def forget_token(call: Call) -> Answer:
    """POST …/forget: drop a compromised token everywhere and log in anew."""
    entry = call.token
    if isinstance(entry.settings, OnDemandSettings):
        raise not_supported(f"{entry.name!r} is issued on demand: nothing of it is kept", allow="")
    _only_admins(call, "forget tokens")
    call.request.json_object(frozenset())
    await call.service.engine.forget(entry.name)
    call.service.forget_old_answers()
    return json_answer({"version": 1, "name": entry.name})


def _lease_answer(call: Call, lease: Lease, *, plain: bool) -> Answer:
    """Hand on what the engine gave, but never an expired token."""
    if not call.service.holds_valid(lease):
        raise unavailable(call.token)
    prepared = prepare(lease, call.token.settings)
    return prepared.plain if plain else prepared.json


async def _wait_for_change(call: Call, seconds: float) -> None:
    """Wait for a valid token other than If-None-Match names; without that header for any valid one, else 504."""
    conditional = call.request.header(b"if-none-match") is not None

    def satisfied() -> bool:
        entry = call.service.visible(call.request.peer, call.token.name)  # a reload may have taken it away
        found = call.service.prepared(entry)
        return found is not None and not (conditional and call.request.matches_etag(found.lease.generation))

    with call.service.changes.signal() as changed:
        try:
            async with asyncio.timeout(seconds):
                while not satisfied():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            if not conditional:
                raise WaitTimeoutError(f"no valid token {call.token.name!r} within {seconds:g} s") from None


# ------------------------------------------------------------------ all of it


async def list_tokens(call: Call) -> Answer:
    """GET /v1/tokens: what the peer may read, without secrets."""
    rows = [row(entry.status()) for entry in call.service.entries_for(call.request.peer)]
    return json_answer({"version": 1, "tokens": rows})


async def show_status(call: Call) -> Answer:
    """GET /v1/status: the same and how it fares."""
    loaded_at, error = call.service.config_state()
    if error is not None and not call.admin:
        # The sentence quotes the file, and with it tokens that this peer may not know of.
        error = "the configuration has errors; the administrator's `tokend status` shows them"
    return json_answer(
        {
            "version": 1,
            "ready": call.service.engine.ready,
            "config": {"loaded_at": utc(loaded_at), "error": error},
            "tokens": [status_row(entry.status()) for entry in call.service.entries_for(call.request.peer)],
        }
    )


async def follow_events(call: Call) -> Answer:
    """GET /v1/events: what changes from now on, or since Last-Event-ID."""
    last = call.request.header(b"last-event-id")
    if last is not None and not (last.isascii() and last.isdigit() and len(last) < 19):
        raise bad_request("Last-Event-ID must be an id that this stream has sent")
    service, peer = call.service, call.request.peer

    def may_see(name: str) -> bool:
        entry = service.engine.entries.get(name)
        return entry is not None and service.rules.may_read(peer, entry.settings.access)

    stream = service.changes.follow(None if last is None else int(last), may_see)
    return Answer(200, content_type="text/event-stream", stream=stream)


async def reload_config(call: Call) -> Answer:
    """POST /v1/reload: read the configuration again, or only tell what that would do."""
    _only_admins(call, "reload the configuration")
    wish = call.query.get("dry_run", "false")
    if wish not in ("true", "false"):
        raise bad_request("dry_run must be true or false", errors={"dry_run": ["must be true or false"]})
    call.request.json_object(frozenset())
    plan = await call.service.engine.reload(dry_run=wish == "true")
    return json_answer({"version": 1, "plan": [dict(step) for step in plan]})


async def show_live(_call: Call) -> Answer:
    """GET /livez: 200 as long as anything answers."""
    return json_answer({"live": True})


async def show_ready(call: Call) -> Answer:
    """GET /readyz: 200 if every required token is valid and in every required sink, else 503."""
    ready = call.service.engine.ready
    return json_answer({"ready": ready}, status=200 if ready else 503)


async def show_metrics(call: Call) -> Answer:
    """GET /metrics: Prometheus' text format, for the tokens that the peer may read."""
    if call.service.metrics is None:
        raise RequestError(404, "bad_request", "this daemon keeps no metrics")
    page = call.service.metrics([entry.name for entry in call.service.entries_for(call.request.peer)])
    return Answer(200, page, "text/plain; version=0.0.4; charset=utf-8")


async def show_openapi(_call: Call) -> Answer:
    """GET /openapi.json: this interface, described for machines."""
    return json_answer(DESCRIPTION)


PLACES: Mapping[str, Mapping[str, Route]] = {
    "v1/tokens": {"GET": Route(list_tokens)},
    "v1/status": {"GET": Route(show_status)},
    "v1/events": {"GET": Route(follow_events)},
    "v1/reload": {"POST": Route(reload_config, frozenset(("dry_run",)))},
    "livez": {"GET": Route(show_live)},
    "readyz": {"GET": Route(show_ready)},
    "metrics": {"GET": Route(show_metrics)},
    "openapi.json": {"GET": Route(show_openapi)},
}
TOKEN_PLACES: Mapping[str, Mapping[str, Route]] = {
    "": {"GET": Route(read_token, frozenset(("min_ttl",)))},
    "refresh": {"POST": Route(refresh_token)},
    "issue": {"POST": Route(issue_token)},
    "request-id": {"POST": Route(make_request_id)},
    "forget": {"POST": Route(forget_token)},
}


def _find(request: Request) -> tuple[Route, str | None]:
    segments, name = request.segments, None
    if segments[:2] == ("v1", "tokens") and len(segments) in (3, 4):
        name = segments[2]
        methods = TOKEN_PLACES.get(segments[3] if len(segments) == 4 else "")
    else:
        methods = PLACES.get("/".join(segments))
    if methods is None:
        # `unknown_token` is about tokens; a path that nobody has is a request that nobody understands.
        raise RequestError(404, "bad_request", "no such path; GET /openapi.json lists them all")
    route = methods.get("GET" if request.method == "HEAD" else request.method)
    if route is None:
        allow = ", ".join(["GET", "HEAD"] if "GET" in methods else list(methods))
        raise not_supported(f"{request.method} is not possible here; allowed: {allow}", allow=allow)
    return route, name


def _refuse_browsers(request: Request) -> None:
    for name, _ in request.headers:
        if name in BROWSER_HEADERS:
            raise DeniedError(f"requests from web pages are refused ({name.decode()} is set)")


def _only_admins(call: Call, what: str) -> None:
    if not call.admin:
        raise DeniedError(f"only admins may {what}: your uid {call.request.peer.uid} is none of them")


def _place(error: BaseException) -> dict[str, object]:
    """Where a bug happened: class names and lines, without any value."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return {"error": type(error).__name__, "trace": " > ".join(frames)}
