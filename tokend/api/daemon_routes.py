"""Routes about the daemon as a whole: list, status, events, reload, health, metrics, description."""

from functools import partial
from pathlib import Path
from typing import Any

from tokend.access.peer import NOBODY
from tokend.api.serializers import left_out, not_ready, plugin_row, row, status_row
from tokend.api.token_api import Call
from tokend.httpd.problem import RequestError, bad_request
from tokend.httpd.response import Response, json_response
from tokend.machine.late_imports import run_away
from tokend.machine.yielding import with_pauses
from tokend.values.errors import DeniedError
from tokend.values.tokens import utc


async def list_tokens(call: Call) -> Response:
    """GET /v1/tokens: the tokens that the peer may read, without secrets."""
    rows = [row(entry.status()) async for entry in with_pauses(call.service.entries_for(call.request.peer))]
    return json_response({"version": 1, "tokens": rows})


async def show_status(call: Call) -> Response:
    """GET /v1/status: the state of the daemon and of each token that the peer may read."""
    config = call.service.config_state()
    error = config.error
    if error is not None and not call.admin:
        # The sentence quotes the file, which may name tokens that are hidden from this peer.
        error = "the configuration has errors; the administrator's `tokend status` shows them"
    admin = call.admin
    sockets = [dict(socket) for socket in call.service.sockets()] if admin else []
    listeners = [dict(listener) for listener in call.service.listeners()] if admin else []
    entries = call.service.entries_for(call.request.peer)
    names = frozenset(entry.name for entry in entries)
    return json_response(
        {
            "version": 1,
            "ready": call.service.engine.ready,
            "config": {
                "loaded_at": utc(config.loaded_at),
                "error": error,
                "restart_needed": config.restart_needed,
            },
            "tokens": [status_row(entry.status(), admin=admin, readable=names) async for entry in with_pauses(entries)],
            **({"listeners": listeners} if listeners else {}),
            **({"sockets": sockets} if sockets else {}),
            **({"plugins": [plugin_row(one) for one in config.plugins]} if admin and config.plugins else {}),
            **({"state": dict(call.service.state())} if admin and call.service.state is not None else {}),
        }
    )


async def follow_events(call: Call) -> Response:
    """GET /v1/events: server-sent events from now on, or since Last-Event-ID."""
    last = call.request.header(b"last-event-id")
    if last is not None and not (last.isascii() and last.isdigit() and len(last) < 19):
        raise bad_request("Last-Event-ID must be an id that this stream has sent")
    service, peer = call.service, call.request.peer

    def may_see(name: str) -> bool:
        entry = service.engine.entries.get(name)
        return entry is not None and service.policy.may_read(peer, entry.settings, name)

    stream = service.changes.follow(None if last is None else int(last), may_see)
    return Response(200, content_type="text/event-stream", stream=stream)


async def reload_config(call: Call) -> Response:
    """POST /v1/reload: read and apply the configuration, or (dry_run) only return the plan.

    With ``path`` in the body, the plan is that of another file.
    """
    call.only_admins("reload the configuration")
    dry_run = call.query.get("dry_run", "false")
    if dry_run not in ("true", "false"):
        raise bad_request("dry_run must be true or false", errors={"dry_run": ["must be true or false"]})
    path = _planned_path(call, dry_run=dry_run == "true")
    answer = await call.service.engine.reload(dry_run=dry_run == "true", path=path)
    plan = [dict(step) for step in answer.plan]
    return json_response({"version": 1, "plan": plan, "restart_needed": answer.restart_needed})


def _planned_path(call: Call, *, dry_run: bool) -> Path | None:
    """Return the file that the body names. Only who may read all that the daemon reads may name one."""
    path = call.request.json_object(frozenset(("path",))).get("path")
    if path is None:
        return None
    if not dry_run:
        raise bad_request("path is only for dry_run=true", errors={"path": ["only for dry_run=true"]})
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise bad_request("path must be an absolute path", errors={"path": ["must be an absolute path"]})
    if not call.service.policy.is_root_or_ours(call.request.peer):
        uid = call.request.peer.uid
        raise DeniedError(f"only root and the daemon's user may plan another file: your uid {uid} is neither")
    return Path(path)


async def show_live(_call: Call) -> Response:
    """GET /livez: 200 as long as the daemon answers."""
    return json_response({"live": True})


async def show_ready(call: Call) -> Response:
    """GET /readyz: 200 if every required token is valid and in every required sink, else 503 with the reasons.

    The reasons are those of tokens that the peer may see.
    """
    if call.service.engine.ready:
        return json_response({"ready": True})
    entries = with_pauses(call.service.entries_for(call.request.peer))
    reasons = [reason async for entry in entries for reason in not_ready(entry.status(), entry.lease)]
    if call.admin:
        reasons += [left_out(name) for name in sorted(call.service.config_state().left_out)]
    return json_response({"ready": False, "reasons": reasons}, status=503)


async def show_metrics(call: Call) -> Response:
    """GET /metrics: Prometheus' text format, for the tokens that the peer may read."""
    page = await call.service.metrics_page([entry.name for entry in call.service.entries_for(call.request.peer)])
    if page is None:
        raise RequestError(404, "bad_request", "this daemon keeps no metrics")
    return Response(200, page, "text/plain; version=0.0.4; charset=utf-8")


async def show_openapi(call: Call) -> Response:
    """GET /openapi.json: the OpenAPI document of the Unix socket or of the loopback port."""
    return json_response(await run_away(partial(_describe, loopback=call.request.peer is NOBODY)))


def _describe(*, loopback: bool) -> dict[str, Any]:
    from tokend.api.openapi import description  # models of every body: only for those who ask

    return description(loopback=loopback)
