"""Routing table and dispatcher: every path with its methods, and the handling of refusals, errors, counts, audit."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from tokend.access.handout_log import HandoutLog
from tokend.access.peer import NOBODY, Peer
from tokend.api import daemon_routes, login_routes, problems, signing_route, sink_routes, token_routes
from tokend.api.token_api import Call, TokenApi
from tokend.engine.context.contract import Entry
from tokend.httpd.problem import RequestError, internal, not_supported, problem
from tokend.httpd.request import BROWSER_HEADERS, Request
from tokend.httpd.response import PLAIN_TYPE, Response
from tokend.plugin.kind_bugs import bug_behind
from tokend.values.errors import ConfigError, DeniedError, InvalidParametersError, ReaderError


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path, and the query parameters that it knows."""

    handler: Callable[[Call], Awaitable[Response]]
    query: frozenset[str] = frozenset()
    # The way on which a token leaves by this route, for the audit log; "" for routes without a token.
    hands_out: str = ""
    # Those of `access.login` reach it also if they may not read the token.
    for_login: bool = False


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
    "": {"GET": Route(token_routes.read_token, frozenset(("min_ttl", "format")), "get")},
    "refresh": {"POST": Route(token_routes.refresh_token, hands_out="refresh")},
    "issue": {"POST": Route(token_routes.issue_token, hands_out="issue")},
    "sign": {"POST": Route(signing_route.sign_call)},
    "request-id": {"POST": Route(token_routes.make_request_id)},
    "forget": {"POST": Route(token_routes.forget_token)},
    "sync": {"POST": Route(sink_routes.sync_sinks)},
    "inspect": {"POST": Route(sink_routes.inspect_sinks)},
    "login": {"POST": Route(login_routes.begin_login, for_login=True)},
    "login/{id}": {
        "GET": Route(login_routes.show_login, for_login=True),
        "POST": Route(login_routes.finish_login, for_login=True),
        "DELETE": Route(login_routes.cancel_login, for_login=True),
    },
    "logout": {"POST": Route(login_routes.log_out, for_login=True)},
}


# Routes without a token's name that show what the peer may see of all tokens.
_ABOUT_ALL = (("tokens",), ("status",), ("events",), ("metrics",))


class Router:
    """Dispatch requests to the routes; implements `tokend.httpd.application.Application`."""

    def __init__(self, service: TokenApi) -> None:
        self._service = service

    async def respond(self, request: Request) -> Response:
        """Answer any request. Raises nothing except cancellation."""
        service, token = self._service, ""
        try:
            _refuse_browsers(request)
            route, name, login_id = _find(request)
            query = request.query(route.query)
            if service.policy.is_unsettled:
                about_all, login = request.segments[-1:] in _ABOUT_ALL, route.for_login
                admins = login or request.method == "POST"
                await service.settle(request.peer, name, about_all=about_all, admins=admins, login=login)
            see = service.visible_for_login if route.for_login else service.visible
            entry = None if name is None else see(request.peer, name)
            token = "" if entry is None else entry.name
            answer = await route.handler(Call(service, request, query, entry, login_id))
            handouts = service.handouts
            if entry is not None and route.hands_out and handouts is not None and handouts.on:
                _record(handouts, request, query, route, entry, answer)
            if entry is not None and service.audit_reads:
                service.log.debug("client.read", uid=request.peer.uid, token=token, path=request.segments[-1])
        except Exception as error:
            answer = self._answer_to(error, request, token)
        service.count(token, answer.status)
        return answer

    def refuse(self, peer: Peer, error: RequestError) -> Response:
        """Answer a request that the server refuses itself: count it, and write the audit line of a denial."""
        if error.code == "denied":
            self._service.denied(peer, detail=str(error))
        self._service.count("", error.status)
        return problem(error)

    def log_denial(self, peer: Peer, detail: str) -> None:
        """Write the audit line of a connection that was closed unanswered."""
        self._service.denied(peer, detail=detail)

    def _answer_to(self, error: Exception, request: Request, token: str) -> Response:
        service = self._service
        if isinstance(error, RequestError | ReaderError):
            if error.code == "denied":
                service.denied(request.peer, token=token or None, detail=str(error))
            if isinstance(error, RequestError):
                return problem(error)
            return problems.refused(error, now=service.engine.clock.instant().wall)
        if isinstance(error, InvalidParametersError):
            return problems.invalid_parameters(error)
        if isinstance(error, ConfigError):
            return problems.invalid_config(error)
        # A bug fails this request alone. The class and the place only: a message could quote a secret.
        service.log.error("client.failed", uid=request.peer.uid, token=token or None, **_place(error))
        return internal()


def _record(
    handouts: HandoutLog, request: Request, query: Mapping[str, str], route: Route, entry: Entry, answer: Response
) -> None:
    """Record a hand-out, if the answer holds a token."""
    tag = dict(answer.headers).get("ETag", "")
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES or request.method == "HEAD" or not (tag or entry.is_on_demand):
        return
    form = query.get("format") or ("text" if answer.content_type == PLAIN_TYPE else "json")
    way = f"{route.hands_out} {form}" + (" over loopback" if request.peer is NOBODY else "")
    handouts.record(request.peer, entry.name, int(tag.strip('"')) if tag else None, way)


def _find(request: Request) -> tuple[Route, str | None, str]:
    """Return the route of a request, and the token and the login that its path names. Raises `RequestError`."""
    segments, name, login_id = request.segments, None, ""
    if segments[:2] == ("v1", "tokens") and len(segments) in (3, 4) and segments[3:] != ("",):
        name = segments[2]
        action = segments[3] if len(segments) == 4 else ""
        methods = None if "/" in action else TOKEN_PLACES.get(action)  # an encoded slash is no separator
    elif segments[:2] == ("v1", "tokens") and len(segments) == 5 and segments[3] == "login" and segments[4]:
        name, login_id = segments[2], segments[4]
        methods = TOKEN_PLACES["login/{id}"]
    else:
        methods = PLACES.get("/".join(segments))
    if methods is None:
        # `unknown_token` is about tokens only; an unknown path is a bad request.
        raise RequestError(404, "bad_request", "no such path; GET /openapi.json lists them all")
    route = methods.get("GET" if request.method == "HEAD" else request.method)
    if route is None:
        allow = ", ".join("GET, HEAD" if method == "GET" else method for method in methods)
        raise not_supported(f"{request.method} is not possible here; allowed: {allow}", allow=allow)
    return route, name, login_id


def _refuse_browsers(request: Request) -> None:
    for name, _ in request.headers:
        if name in BROWSER_HEADERS:
            raise DeniedError(f"requests from web pages are refused ({name.decode()} is set)")


def _place(error: BaseException) -> dict[str, object]:
    """Describe where a bug happened: class names and lines, without any value."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return {"detail": bug_behind(error), "error": type(error).__name__, "trace": " > ".join(frames)}
