"""The JSON form of a `LoginRecord` in a state file. Pure.

It holds refresh tokens in clear, as the record holds the access token.
"""

from collections.abc import Mapping
from typing import Any

from tokend.engine.records.codec_values import (
    count,
    dump_instant,
    flag,
    items,
    load_instant,
    mapping,
    maybe,
    moment,
    text,
)
from tokend.engine.records.login_record import LoginRecord, SetAside
from tokend.engine.records.login_states import (
    NO_LOGIN,
    Exchanging,
    LoginState,
    Lost,
    NoLogin,
    Ready,
    RefusedOnce,
    Required,
    Sendable,
)
from tokend.values.logins import Login, LoginClient
from tokend.values.secret import Secret


def dump_logins(record: LoginRecord) -> dict[str, Any]:
    """Encode the login in use and those set aside."""
    return {
        "state": _dump_state(record.state),
        "initial": record.initial,
        "end_moves": record.end_moves,
        "notices": list(record.notices),
        "aside": [
            {
                "state": _dump_state(one.state),
                "at": dump_instant(one.at),
                "initial": one.initial,
                "logged_out": one.logged_out,
            }
            for one in record.aside
        ],
    }


def load_logins(document: Any) -> LoginRecord:
    """Decode what `dump_logins` encoded. Raises ValueError, LookupError or TypeError for anything else."""
    return LoginRecord(
        state=_load_state(mapping(document["state"])),
        initial=maybe(text, document["initial"]),
        aside=tuple(
            SetAside(
                _load_state(mapping(one["state"])),
                moment(one["at"]),
                maybe(text, one["initial"]),
                flag(one["logged_out"]),
            )
            for one in items(document["aside"])
        ),
        end_moves=flag(document["end_moves"]),
        notices=tuple(text(one) for one in items(document["notices"])),
    )


def _dump_state(state: LoginState) -> dict[str, Any]:
    match state:
        case NoLogin():
            return {"is": "none"}
        case Ready():
            return {"is": "ready", "may_be_spent": state.may_be_spent, "login": _dump_login(state.login)}
        case RefusedOnce():
            return {"is": "refused_once", "login": _dump_login(state.login)}
        case Lost():
            next_at = dump_instant(state.next_at)
            return {"is": "lost", "next_at": next_at, "repeats": state.repeats, "login": _dump_login(state.login)}
        case Exchanging():
            return {"is": "exchanging", "before": _dump_state(state.before)}
        case Required():
            return {"is": "required", "login": None if state.login is None else _dump_login(state.login)}
    raise TypeError(f"{type(state).__name__} has no form in a state file")


def _load_state(document: Mapping[str, Any]) -> LoginState:
    match document["is"]:
        case "none":
            return NO_LOGIN
        case "exchanging":
            before = _load_state(mapping(document["before"]))
            if not isinstance(before, Ready | RefusedOnce | Lost):
                raise TypeError("nothing can be sent in the state before")
            return Exchanging(before)
        case "required":
            return Required(maybe(_load_login, document["login"]))
        case _:
            return _load_sendable(document)


def _load_sendable(document: Mapping[str, Any]) -> Sendable:
    login = _load_login(document["login"])
    match document["is"]:
        case "ready":
            return Ready(login, may_be_spent=flag(document["may_be_spent"]))
        case "refused_once":
            return RefusedOnce(login)
        case "lost":
            return Lost(login, moment(document["next_at"]), count(document["repeats"]))
    raise ValueError("no state of a login")


def _dump_login(login: Login) -> dict[str, Any]:
    return {
        "refresh_token": None if login.refresh_token is None else login.refresh_token.reveal(),
        "kind": login.client.kind,
        "server": login.client.server,
        "client_id": login.client.client_id,
        "origin": login.origin,
        "obtained_at": dump_instant(login.obtained_at),
        "refreshed_at": dump_instant(login.refreshed_at),
        "ends_at": dump_instant(login.ends_at),
        "subject": login.subject,
        "scopes": None if login.scopes is None else list(login.scopes),
        "parameters": {name: value.reveal() for name, value in login.parameters.items()},
        "was_accepted": login.was_accepted,
    }


def _load_login(document: Any) -> Login:
    scopes, refresh_token = document["scopes"], maybe(text, document["refresh_token"])
    return Login(
        refresh_token=None if refresh_token is None else Secret(refresh_token),
        client=LoginClient(text(document["kind"]), text(document["server"]), text(document["client_id"])),
        origin=maybe(text, document["origin"]),
        obtained_at=moment(document["obtained_at"]),
        refreshed_at=moment(document["refreshed_at"]),
        ends_at=load_instant(document["ends_at"]),
        subject=maybe(text, document["subject"]),
        scopes=None if scopes is None else tuple(text(one) for one in items(scopes)),
        parameters={name: Secret(text(value)) for name, value in mapping(document["parameters"]).items()},
        was_accepted=flag(document["was_accepted"]),
    )
