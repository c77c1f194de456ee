"""Rules between the keys of kind ``http``: each fault with the path of its key.

Looked for also where single keys are wrong, so that all errors of a table are reported at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tokend.plugin.declared.computed_value import ComputedValue, Part
from tokend.plugin.declared.ready_headers import header_faults
from tokend.plugin.declared.request import RequestSettings, Where
from tokend.plugin.declared.request_names import faults as name_faults_of
from tokend.plugin.declared.request_names import name_faults, needed, value_faults
from tokend.providers.http.login_rules import REFRESH_TOKEN, file_faults, login_faults, names_brought, refresh_faults
from tokend.providers.http.login_settings import LoginSettings
from tokend.providers.http.names import of_token

Fault = tuple[Where, str]
Table = Mapping[str, Any]
M = TypeVar("M", bound=BaseModel)


def faults(table: Table) -> Iterator[Fault]:
    """Yield the faults of a table, as it is written or as its fields are."""
    values, all_right = _values(table)
    secrets = _table(table, "named_secrets", "secrets")
    answer = _table(table, "answer")
    held = [*secrets, *of_token(name for key in ("extra", "secret_extra") for name in _table(answer, key))]
    parameters = list(_table(table, "parameters"))
    held += parameters
    login = _made(LoginSettings, table["login"]) if table.get("login") is not None else None
    brought = names_brought(_table(table, "login"))
    renewing = [*held, *([REFRESH_TOKEN] if answer.get(REFRESH_TOKEN) is not None else [])]
    yield from name_faults(secrets, values, parameters)
    yield from value_faults(values, [*renewing, *brought])
    request, renew = _request(table, "request"), _request(table, "renew")
    if request is not None:
        yield from name_faults_of(request, values, [*secrets, *brought, *parameters], ("request",), parameters)
    if renew is not None:
        yield from name_faults_of(renew, values, renewing, ("renew",))
    if login is not None:
        yield from login_faults(login, request if all_right else None, values, secrets)
    uses = REFRESH_TOKEN in needed(renew, values) if renew is not None else table.get("renew") is not None
    yield from refresh_faults(answer, uses_refresh_token=uses or not all_right)
    yield from file_faults(table, answer)
    if request is not None and renew is not None and renew.url.origin != request.url.origin:
        yield ("renew", "url"), "its scheme, host and port must be those of request.url: the token is sent there"
    headers = {name: text for name, text in _table(table, "headers").items() if isinstance(text, str)}
    yield from header_faults(headers, values, held)
    for key, needing in (("unit", ("expires_in", "refresh_expires_in")), ("timezone", ("expires_at",))):
        if _written(answer, key) and not any(_written(answer, one) for one in needing):
            yield ("answer", key), f"it is for {needing[0]}, of which answer says no place"


def _values(table: Table) -> tuple[dict[str, ComputedValue], bool]:
    """Return the values, and whether each is right by itself: one that is not is an empty text here."""
    found = {name: _made(ComputedValue, one) for name, one in _table(table, "values").items()}
    empty = ComputedValue(parts=(Part(text=""),))
    return {name: one or empty for name, one in found.items()}, None not in found.values()


def _request(table: Table, key: str) -> RequestSettings | None:
    written = table.get(key)
    if isinstance(written, dict):
        written = {name: one for name, one in written.items() if name != "token_optional"}
    return None if written is None else _made(RequestSettings, written)


def _made(model: type[M], written: Any) -> M | None:
    try:
        return written if isinstance(written, model) else model.model_validate(written)
    except ValidationError:
        return None


def _table(table: Table, *keys: str) -> Table:
    found = next((table[key] for key in keys if key in table), None)
    if isinstance(found, BaseModel):
        return found.__dict__
    return found if isinstance(found, Mapping) else {}


def _written(table: Table, key: str) -> bool:
    """Return whether a key of ``answer`` is given; ``unit`` has a default."""
    return table.get(key) is not None and (key, table[key]) != ("unit", "s")
