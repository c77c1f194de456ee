"""Routes about the sinks of a token: write to them now, look at them now. For admins."""

from tokend.api.serializers import status_row
from tokend.api.token_api import Call
from tokend.httpd.problem import bad_request, not_supported
from tokend.httpd.response import Response, json_response


async def sync_sinks(call: Call) -> Response:
    """POST …/sync: write the token to its sinks, or to one, now; answers when they have tried."""
    _of_a_held_token(call)
    call.only_admins("write to sinks")
    body = call.request.json_object(frozenset(("sink", "take_over")))
    label, take_over = body.get("sink"), body.get("take_over", False)
    if type(take_over) is not bool:
        raise bad_request("take_over must be true or false", errors={"take_over": ["must be true or false"]})
    labels = [sink.label for sink in call.token.status().sinks]
    if label is not None and label not in labels:
        text = f"must be one of {', '.join(labels)}" if labels else f"{call.token.name} has no sink"
        raise bad_request(f"sink {text}", errors={"sink": [text]})
    await call.service.engine.sync(call.token.name, label, take_over=take_over)
    return _status(call)


async def inspect_sinks(call: Call) -> Response:
    """POST …/inspect: ask each sink what its target holds now; answers when all have answered."""
    _of_a_held_token(call)
    call.only_admins("look at sinks")
    call.request.json_object(frozenset())
    await call.service.engine.inspect(call.token.name)
    return _status(call)


def _of_a_held_token(call: Call) -> None:
    if call.token.is_on_demand:
        raise not_supported(f"{call.token.name!r} is issued on demand: it has no sinks", allow="")


def _status(call: Call) -> Response:
    """Answer with the status of the token, which a reload may have hidden or taken meanwhile."""
    service, peer = call.service, call.request.peer
    entry = service.visible(peer, call.token.name)
    names = frozenset(one.name for one in service.entries_for(peer))
    return json_response({"version": 1, **status_row(entry.status(), admin=call.admin, readable=names)})
