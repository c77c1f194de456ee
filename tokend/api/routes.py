"""Every path and its methods, and what happens around each answer: refusals, errors, counts, audit lines."""

from collections.abc import Mapping

from tokend.api import daemon_routes, token_routes
from tokend.api.call import Call, Route
from tokend.api.serializers import Prepared
from tokend.api.token_api import TokenApi
from tokend.httpd.problem import RequestError, internal, invalid_config, invalid_parameters, not_supported, problem
from tokend.httpd.request import BROWSER_HEADERS, Request, wants_plain
from tokend.httpd.response import Response
from tokend.values.errors import ConfigError, DeniedError, InvalidParametersError, ReaderError

READ = Route(token_routes.read_token, frozenset(("min_ttl", "format")))
PLACES: Mapping[str, Mapping[str, Route]] = {
    "v1/tokens": {"GET": Route(daemon_routes.list_tokens)},
    "v1/status": {"GET": Route(daemon_routes.show_status)},
    "v1/events": {"GET": Route(daemon_routes.follow_events)},
    "v1/reload": {"POST": Route(daemon_routes.reload_config, frozenset(("dry_run",)))},
    "livez": {"GET": Route(daemon_routes.show_live)},
    "readyz": {"GET": Route(daemon_routes.show_ready)},
    "metrics": {"GET": Route(daemon_routes.show_metrics)},
    "openapi.json": {"GET": Route(daemon_routes.show_openapi)},
}
TOKEN_PLACES: Mapping[str, Mapping[str, Route]] = {
    "": {"GET": READ},
    "refresh": {"POST": Route(token_routes.refresh_token)},
    "issue": {"POST": Route(token_routes.issue_token)},
    "request-id": {"POST": Route(token_routes.make_request_id)},
    "forget": {"POST": Route(token_routes.forget_token)},
}


async def respond(service: TokenApi, request: Request) -> Response:
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
        answer = invalid_parameters(error)
    except ConfigError as error:
        answer = invalid_config(error)
    except Exception as error:  # a bug: this request's alone
        # The class and the place only: a message could quote what it choked on.
        service.log.error("client.failed", uid=request.peer.uid, token=token or None, **_place(error))
        answer = internal()
    service.count(token, answer.status)
    return answer


def memorable(service: TokenApi, request: Request) -> tuple[Prepared, bool] | None:
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
    if route is not READ or entry is None:
        return None
    if not service.rules.may_read(request.peer, entry.settings.access):
        return None
    prepared = service.prepared(entry)
    return None if prepared is None else (prepared, plain)


def _find(request: Request) -> tuple[Route, str | None]:
    segments, name = request.segments, None
    if segments[:2] == ("v1", "tokens") and len(segments) in (3, 4) and segments[3:] != ("",):
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


def _place(error: BaseException) -> dict[str, object]:
    """Where a bug happened: class names and lines, without any value."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return {"error": type(error).__name__, "trace": " > ".join(frames)}
