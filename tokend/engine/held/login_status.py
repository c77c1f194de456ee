"""The status of a provider's login, from its record and its settings. Pure."""

from typing import cast

from tokend.engine.policy.login_advice import login_advice
from tokend.engine.policy.login_notices import ends_soon
from tokend.engine.records.login_record import LoginRecord
from tokend.plugin.login import needs_persons_login
from tokend.plugin.settings import HeldSettings
from tokend.values.instant import Instant
from tokend.values.status import LoginStatus


def login_status(
    name: str, settings: HeldSettings, logins: LoginRecord, *, now: Instant, pending: bool
) -> LoginStatus | None:
    """Return the status of the login in use; None where none concerns a person. ``pending``: a person is logging in."""
    if not needs_persons_login(settings):
        return None
    login, advice = logins.login, login_advice(name, cast(HeldSettings, settings))
    state = "required" if logins.state.is_required else "none" if login is None else "ok"
    if pending:
        state = "pending"
    elif state == "ok" and ends_soon(logins, now):
        state = "ends_soon"
    if login is None:
        return LoginStatus(state, None, None, None, (), advice.command, logins.notices, advice.step)
    granted = login.scopes
    missing = () if granted is None else tuple(one for one in settings.login_scopes if one not in granted)
    ends_at = None if login.ends_at is None else login.ends_at.wall
    return LoginStatus(
        state, login.subject, login.obtained_at.wall, ends_at, missing, advice.command, logins.notices, advice.step
    )


def scopes_note(login: LoginStatus | None) -> str | None:
    """Return a remark about scopes that the server has not granted, None if it has granted all."""
    if login is None or not login.scopes_missing:
        return None
    return f"scopes missing: {' '.join(login.scopes_missing)} \N{EM DASH} {login.advice.remedy}"


def last_token_note(name: str, settings: HeldSettings) -> str:
    """Return a remark about a login without a refresh token."""
    return (
        f"the server gave no refresh token: the login ends with this token, then {login_advice(name, settings).remedy}"
    )
