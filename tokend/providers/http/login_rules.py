"""Rules between the keys of a login of kind ``http``: each fault with the path of its key."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tokend.plugin.declared.built_in_names import COUNTERS
from tokend.plugin.declared.placeholders import unknown_name
from tokend.plugin.declared.request import RequestSettings, Where
from tokend.plugin.declared.request_names import Values, needed, needed_by, text_faults
from tokend.plugin.login_redirect import redirect_fault
from tokend.providers.http.login_settings import REDIRECT, STATE, LoginSettings
from tokend.values.url import is_metadata_server

Fault = tuple[Where, str]
Table = Mapping[str, Any]
REFRESH_TOKEN = "refresh_token"  # noqa: S105  (a name)


def login_faults(
    login: LoginSettings, request: RequestSettings | None, values: Values, secrets: Collection[str]
) -> Iterator[Fault]:
    """Yield the faults of the table ``login`` and of its use in ``request`` (None: that one is wrong by itself)."""
    yield from text_faults(login.url.text, values, [*secrets, STATE, REDIRECT], ("login", "url"))
    for name in sorted(needed_by(login.url.names, values) & COUNTERS.keys()):
        yield ("login", "url"), f"{{{name}}} is counted for requests; a person may open this twice"
    if is_metadata_server(login.url.origin):
        yield ("login", "url"), "a browser opens it: it is https, or http to this machine"
    if login.redirect_uri is None and REDIRECT not in login.url.names:
        advice = "write where the browser ends, as it is registered, or {redirect_uri} in url"
        yield ("login", "redirect_uri"), f"it is missing: {advice}"
    if login.redirect_uri is not None:
        if (unknown := unknown_name(login.redirect_uri.names, [STATE])) is not None:
            yield ("login", "redirect_uri"), unknown
        if (fault := redirect_fault(login.redirect_uri.text.shown.replace(f"{{{STATE}}}", "x"))) is not None:
            yield ("login", "redirect_uri"), fault
    if request is not None and not needed(request, values) & {f"login.{name}" for name in login.callback}:
        yield ("login", "callback"), f"request uses none of it: write {{login.{login.callback[0]}}} there"


def names_brought(login: Table) -> list[str]:
    """Return the names that a login gives to the request, also where the table is wrong in itself."""
    callback = login.get("callback")
    names = [one for one in callback if isinstance(one, str)] if isinstance(callback, list | tuple) else []
    return [f"login.{name}" for name in (*names, REDIRECT)] if login else []


def refresh_faults(answer: Table, *, uses_refresh_token: bool) -> Iterator[Fault]:
    """Yield the faults of the keys about refresh tokens. ``uses_refresh_token``: ``renew`` does, or may."""
    has_place = answer.get(REFRESH_TOKEN) is not None
    if has_place and not uses_refresh_token:
        yield ("answer", REFRESH_TOKEN), "it is for renew of kind http, which does not use {refresh_token}"
    if answer.get("refresh_expires_in") is not None and not has_place:
        yield ("answer", "refresh_expires_in"), "it is for refresh_token, of which answer says no place"


def file_faults(table: Table, answer: Table) -> Iterator[Fault]:
    """Yield the faults of the keys about where a login is kept, and whose it is."""
    key, has_login = table.get("login_file_key"), table.get("login") is not None
    uses_login = has_login or answer.get(REFRESH_TOKEN) is not None
    if table.get("subject") is not None and not has_login:
        yield ("subject",), "it is the account of a login, and there is no table login"
    if table.get("login_file") is not None and not uses_login:
        yield ("login_file",), "there is no login to keep: neither a table login nor answer.refresh_token"
    if key is not None and table.get("login_file") is None:
        yield ("login_file_key",), "it goes with login_file: it seals that file"
    if (isinstance(key, Mapping) and "token" in key) or getattr(key, "token", None) is not None:
        yield ("login_file_key",), "a key does not change, as tokens do: use { credential = } or { file = }"
