"""Routes below ``/v1/tokens/{name}``: read, refresh, issue, request-id, forget."""

import asyncio
from datetime import timedelta

from tokend.access.peer import NOBODY
from tokend.api.answer_cache import etag, prepare
from tokend.api.serializers import issued, key_pair
from tokend.api.token_api import Call, unavailable
from tokend.engine.context.reports import UNAUTHORIZED
from tokend.httpd.problem import RequestError, bad_request, not_supported
from tokend.httpd.response import PLAIN_TYPE, Response, json_response
from tokend.plugin.caller_names import MOST_PARAMETERS
from tokend.plugin.settings_base import parse_duration
from tokend.values.errors import DeniedError, WaitTimeoutError
from tokend.values.few_names import few
from tokend.values.status import State
from tokend.values.tokens import Lease

# The reason that `tokend refresh` and `tokend get --refresh` give.
COMMAND_LINE = "command line"
# A reason is one word for the log, such as "unauthorized".
LONGEST_REASON = 200


async def read_token(call: Call) -> Response:
    """GET /v1/tokens/{name}: the token now, or valid for min_ttl at least, or after Prefer: wait."""
    entry, request = call.token, call.request
    if entry.is_on_demand:
        raise not_supported(f"{entry.name!r} is issued on demand: POST /v1/tokens/{entry.name}/issue", allow="")
    plain = _wants_plain(call)
    ttl = _duration(call, "min_ttl")
    if (form := call.query.get("format")) not in (None, "aws"):
        raise bad_request("format is aws, or absent", errors={"format": ["must be aws"]})
    if (wait := request.wait_seconds()) is not None:
        await _wait_for_change(call, wait)
        entry = call.service.visible(request.peer, entry.name)  # a reload may have changed or taken it meanwhile
    if ttl is None:
        prepared = call.service.valid(entry)
        lease, answer = prepared.lease, prepared.plain if plain else prepared.json
    else:
        lease = await call.service.engine.fresh(entry.name, ttl.total_seconds(), admin=call.admin)
        answer = _lease_answer(call, lease, plain=plain)
    if request.header(b"if-none-match") is not None and request.matches_etag(etag(lease)):
        return Response(304, content_type=None, headers=answer.headers)
    return answer if form is None else _aws_answer(call, lease, headers=answer.headers)


async def refresh_token(call: Call) -> Response:
    """POST …/refresh: one attempt now, unless the token is already newer than ``if_generation``."""
    entry = call.token
    if entry.is_on_demand:
        return await _resume(call)
    plain = _wants_plain(call)
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
    _record_report(call, generation, shown)
    lease = await call.service.engine.refresh(entry.name, if_generation=generation, reason=shown, admin=call.admin)
    return _lease_answer(call, lease, plain=plain)


def _record_report(call: Call, generation: int | None, reason: str) -> None:
    """Record a refresh whose client says that an upstream refused its token; a person's `tokend refresh` does not."""
    entry = call.token
    newest = 0 if entry.lease is None else entry.lease.generation
    if generation is None:
        generation = newest if reason == UNAUTHORIZED else None
    if generation is None or generation > newest or reason == COMMAND_LINE:
        return
    call.service.reports.record(
        entry.name,
        generation,
        reason=reason,
        uid=None if call.request.peer is NOBODY else call.request.peer.uid,
        now=call.service.engine.clock.instant(),
        signed_here=entry.settings.signs_here,
    )


async def _resume(call: Call) -> Response:
    """Let the next `issue` try an on-demand provider's rejected credentials again."""
    entry = call.token
    if entry.status().state is not State.REJECTED:
        text = f"{entry.name!r} is issued on demand and never refreshed; its credentials are not rejected"
        raise not_supported(text, allow="")
    call.only_admins("let rejected credentials be tried again")
    call.request.json_object(frozenset(("if_generation", "reason")))
    await call.service.engine.resume(entry.name)
    return json_response({"version": 1, "name": entry.name, "state": entry.status().state.value})


async def issue_token(call: Call) -> Response:
    """POST …/issue: one on-demand token for the caller's parameters."""
    entry = call.token
    if not entry.is_on_demand:
        raise not_supported(f"{entry.name!r} is held ready: GET /v1/tokens/{entry.name}", allow="")
    plain = _wants_plain(call)
    if not call.request.body:
        raise bad_request("the parameters are missing: send a JSON object of strings as the body")
    parameters = call.request.json_object()
    if len(parameters) > MOST_PARAMETERS:
        raise bad_request(f"there are {len(parameters)} parameters; at most {MOST_PARAMETERS} are allowed")
    if wrong := {key: ["must be a string"] for key, value in parameters.items() if not isinstance(value, str)}:
        raise bad_request(f"parameters must be strings: {few(sorted(wrong))}", errors=wrong)
    token = await call.service.engine.issue(entry.name, parameters, uid=call.request.peer.uid)
    if plain:
        return Response(201, token.value.reveal().encode(), PLAIN_TYPE)
    return json_response(issued(entry.name, token, entry.settings), status=201)


async def make_request_id(call: Call) -> Response:
    """POST …/request-id: a new id for one call to the upstream."""
    call.request.json_object(frozenset())
    return json_response({"request_id": await call.service.engine.request_id(call.token.name)})


async def forget_token(call: Call) -> Response:
    """POST …/forget: drop a compromised token everywhere and log in again.

    Of a provider whose record in the state cannot be opened, also of one on demand, the record is dropped.
    """
    entry = call.token
    if entry.is_on_demand and entry.status().state is not State.PENDING:
        raise not_supported(f"{entry.name!r} is issued on demand: nothing of it is kept", allow="")
    call.only_admins("forget tokens")
    call.request.json_object(frozenset())
    await call.service.engine.forget(entry.name)
    call.service.answers.sweep()
    return json_response({"version": 1, "name": entry.name})


def _lease_answer(call: Call, lease: Lease, *, plain: bool) -> Response:
    """Answer with a lease that the engine returned, unless it has expired or a reload has hidden its token."""
    entry = call.service.visible(call.request.peer, call.token.name)
    if not call.service.holds_valid(lease):
        raise unavailable(entry)
    prepared = call.service.answers.prepared(entry)
    if prepared is None or prepared.lease is not lease:
        prepared = prepare(lease, entry.settings)
    return prepared.plain if plain else prepared.json


def _aws_answer(call: Call, lease: Lease, *, headers: tuple[tuple[str, str], ...]) -> Response:
    """Serialize the token as AWS's SDKs read it from $AWS_CONTAINER_CREDENTIALS_FULL_URI."""
    keys = key_pair(lease, call.service.engine.clock.instant().wall)
    if keys is None:
        text = f"{lease.name!r} is no AWS key pair: a JSON object with AccessKeyId and SecretAccessKey"
        raise RequestError(406, "not_acceptable", text)
    return json_response(keys, headers=headers)


async def _wait_for_change(call: Call, seconds: float) -> None:
    """Wait for a valid token that If-None-Match does not name. Without that header: any valid one, else 504."""
    conditional = call.request.header(b"if-none-match") is not None

    def satisfied() -> bool:
        entry = call.service.visible(call.request.peer, call.token.name)  # a reload may have taken it away
        found = call.service.answers.prepared(entry)
        return found is not None and not (conditional and call.request.matches_etag(etag(found.lease)))

    with call.service.changes.signal(call.token.name) as changed:
        try:
            async with asyncio.timeout(seconds):
                while not satisfied():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            if not conditional:
                raise WaitTimeoutError(f"no valid token {call.token.name!r} within {seconds:g} s") from None


def _duration(call: Call, name: str) -> timedelta | None:
    """Read a duration among the query parameters; None if it is absent. Raises `RequestError`."""
    if name not in call.query:
        return None
    try:
        return parse_duration(call.query[name])
    except ValueError as error:
        raise bad_request(f"{name}: {error}", errors={name: [str(error)]}) from None


def _wants_plain(call: Call) -> bool:
    """Choose between JSON (False) and the raw token (True) by the Accept header; raises a 406 if both are refused."""
    chosen = call.request.preferred_type("application/json", "text/plain")
    if chosen is None:
        raise RequestError(406, "not_acceptable", "a token is given as application/json or text/plain")
    return chosen == "text/plain"
