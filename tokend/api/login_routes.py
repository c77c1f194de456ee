"""Routes about logins: begin, finish, show and cancel one, and log out. For admins and for those of ``access.login``.

Neither a code nor a verifier nor a device code is in an answer; the address to open holds the state.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from tokend.api.token_api import Call
from tokend.engine.context.contract import LoginUnderWay
from tokend.httpd.problem import bad_request, not_supported
from tokend.httpd.response import Response, json_response
from tokend.plugin.login import DeviceLogin
from tokend.values.tokens import utc
from tokend.values.url import is_loopback_redirect

LONGEST_ADDRESS = 8192
FLOWS = ("browser", "device")


async def begin_login(call: Call) -> Response:
    """POST …/login: begin a login; the answer says what the person has to open."""
    _only_those_who_log_in(call)
    body = call.request.json_object(frozenset(("flow", "redirect_uri", "other_account")))
    flow, redirect_uri, other = body.get("flow"), body.get("redirect_uri"), body.get("other_account", False)
    if flow is not None and flow not in FLOWS:
        text = f"must be one of {', '.join(FLOWS)}"
        raise bad_request(f"flow {text}", errors={"flow": [text]})
    if redirect_uri is not None and not (
        isinstance(redirect_uri, str) and len(redirect_uri) <= LONGEST_ADDRESS and is_loopback_redirect(redirect_uri)
    ):
        text = "must be an address of this machine, such as http://127.0.0.1:8400/; any other one stands in the table"
        raise bad_request(f"redirect_uri {text}", errors={"redirect_uri": [text]})
    if type(other) is not bool:
        raise bad_request("other_account must be true or false", errors={"other_account": ["must be true or false"]})
    session = await call.service.engine.logins.begin(
        call.token.name, uid=call.request.peer.uid, flow=flow, redirect_uri=redirect_uri, other_account=other
    )
    return json_response(_begun(session), status=201)


async def finish_login(call: Call) -> Response:
    """POST …/login/{id}: the address at which the browser has ended, or the person's confirmation of the account.

    An address of another login changes nothing.
    """
    _only_those_who_log_in(call)
    body = call.request.json_object(frozenset(("redirected_to", "confirmed")))
    if "confirmed" in body:
        return await _confirmed(call, body)
    address = body.get("redirected_to")
    if not isinstance(address, str) or not 0 < len(address) <= LONGEST_ADDRESS:
        text = f"must be the address at which the browser has ended, of at most {LONGEST_ADDRESS} characters"
        raise bad_request(f"redirected_to {text}", errors={"redirected_to": [text]})
    logins, uid = call.service.engine.logins, call.request.peer.uid
    return _shown(await logins.finish(call.token.name, call.login_id, uid=uid, redirected_to=address))


async def _confirmed(call: Call, body: Mapping[str, Any]) -> Response:
    if body["confirmed"] is not True or len(body) > 1:
        text = "must be true, and stands alone: DELETE cancels a login that nobody confirms"
        raise bad_request(f"confirmed {text}", errors={"confirmed": [text]})
    logins, uid = call.service.engine.logins, call.request.peer.uid
    return _shown(await logins.confirm(call.token.name, call.login_id, uid=uid))


async def show_login(call: Call) -> Response:
    """GET …/login/{id}: what has come of it; with Prefer: wait, as soon as it has ended."""
    session = _find(call)
    if (seconds := call.request.wait_seconds()) is not None:
        try:
            async with asyncio.timeout(seconds):
                await session.ended.wait()
        except TimeoutError:
            pass
        session = _find(call)  # a reload may have taken the peer's right meanwhile
    return _shown(session)


async def cancel_login(call: Call) -> Response:
    """DELETE …/login/{id}: cancel a login; one that has ended stays as it is."""
    _only_those_who_log_in(call)
    return _shown(call.service.engine.logins.cancel(call.token.name, call.login_id, uid=call.request.peer.uid))


async def log_out(call: Call) -> Response:
    """POST …/logout: withdraw the token, and end the login here and at the server."""
    _only_those_who_log_in(call)
    body = call.request.json_object(frozenset(("force",)))
    force = body.get("force", False)
    if type(force) is not bool:
        raise bad_request("force must be true or false", errors={"force": ["must be true or false"]})
    name = call.token.name
    answer = await call.service.engine.logins.log_out(name, uid=call.request.peer.uid, force=force)
    call.service.answers.sweep()
    shown = {"confirmed": answer.confirmed, "dropped": answer.dropped, "detail": answer.detail}
    return json_response({"version": 1, "name": name, **shown})


def _only_those_who_log_in(call: Call) -> None:
    call.only_those_who_log_in()
    if call.token.is_on_demand:
        raise not_supported(f"{call.token.name!r} is issued on demand: nobody logs in for it", allow="")


def _find(call: Call) -> LoginUnderWay:
    entry = call.service.visible_for_login(call.request.peer, call.token.name)
    Call(call.service, call.request, call.query, entry).only_those_who_log_in()
    return call.service.engine.logins.find(entry.name, call.login_id, uid=call.request.peer.uid)


def _begun(session: LoginUnderWay) -> dict[str, Any]:
    begun, basis = session.begun, {"version": 1, "login_id": session.login_id, "flow": session.flow}
    if begun is None:  # its time was over before the answer
        raise bad_request("the server gave no time for this login: begin again")
    if isinstance(begun, DeviceLogin):
        basis |= {"verification_uri": begun.verification_uri, "user_code": begun.user_code}
        basis["verification_uri_complete"] = begun.verification_uri_complete
    else:
        basis |= {"url": begun.url, "redirect_uri": begun.redirect_uri, "paste_only": not begun.returns_state}
    return {**basis, "expires_at": utc(session.expires_at.wall)}


def _shown(session: LoginUnderWay) -> Response:
    shown = {"state": session.state, "error": session.error, "subject": session.subject}
    waits = {"awaits_confirmation": session.awaits_confirmation}
    basis = {"version": 1, "login_id": session.login_id}
    return json_response({**basis, **shown, **waits, "expires_at": utc(session.expires_at.wall)})
