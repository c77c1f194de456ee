"""Rules between the keys of kind ``oauth2``: each fault with the path of its key.

The faults are those of the table as it is written, because it may have other errors, too.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from tokend.plugin.declared.placeholders import Text, unknown_name
from tokend.plugin.login_redirect import redirect_fault
from tokend.providers.oauth2.words import (
    BY_CERTIFICATE,
    BY_SECRET,
    GRANT_TYPES,
    LOGIN_GRANTS,
    PERSONAL_GRANTS,
    ClientAuth,
)
from tokend.values.near_miss import did_you_mean

Where = tuple[str | int, ...]
Fault = tuple[Where, str]
Table = Mapping[str, Any]

CREDENTIALS = ("client_secret", "client_assertion", "private_key")
# What a login keeps, and a refresh may repeat.
KEPT = ("code_verifier", "redirect_uri")
_LOGIN = tuple(sorted(LOGIN_GRANTS))
_PERSONAL = tuple(sorted(PERSONAL_GRANTS))
# Keys that only some grants use.
GRANTS_OF_KEYS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("claims", "assertion"), ("jwt_bearer",)),
    **dict.fromkeys(
        ("subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"),
        ("token_exchange",),
    ),
    **dict.fromkeys(("authorize_url", "device_url", "redirect_uri", "pkce", "login_parameters"), _PERSONAL),
    **dict.fromkeys(("refresh_token", "refresh_parameters", "revoke_url", "subject"), _LOGIN),
    **dict.fromkeys(("login_lifetime", "login_lifetime_from", "login_file", "login_file_key"), _LOGIN),
}


def faults(table: Table) -> Iterator[Fault]:
    """Yield the faults of a table, whose values may be of any type."""
    for rule in RULES:
        yield from rule(table)


def _server(table: Table) -> Iterator[Fault]:
    if _has(table, "token_url") or _has(table, "issuer"):
        return
    resources = table.get("resource")
    if not resources:
        yield ("token_url",), "it is missing: write the URL of the token endpoint, or issuer, or resource"
    elif isinstance(resources, list | tuple) and len(resources) > 1:
        yield ("resource",), "it names the server only if it is one: write issuer or token_url besides"
    elif given := [key for key in (*CREDENTIALS, "client_cert") if _has(table, key)]:
        yield (
            ("issuer",),
            f"it is missing: without it the resource would choose who gets what {given[0]} holds; write the issuer",
        )


def _foreign_keys(table: Table) -> Iterator[Fault]:
    grant = table.get("grant")
    if grant not in GRANT_TYPES:
        return
    for key, grants in GRANTS_OF_KEYS.items():
        if _has(table, key) and grant not in grants:
            words = " or ".join(f'"{one}"' for one in grants)
            login = " (no login)" if grants == _LOGIN else ""
            yield (key,), f'it goes with grant = {words}; the grant here is "{grant}"{login}'


def _needs_of_the_grant(table: Table) -> Iterator[Fault]:
    grant = table.get("grant")
    has_metadata = _has(table, "issuer") or (not _has(table, "token_url") and _has(table, "resource"))
    by_client = grant in {"client_credentials", *LOGIN_GRANTS}
    # Questrade's refresh tokens belong to no client.
    by_client = by_client and not (grant == "refresh_token" and table.get("client_auth") == "none")
    if by_client and not _has(table, "client_id") and not _has(table, "client_assertion"):
        yield ("client_id",), f'it is missing: grant = "{grant}" needs it'
    if grant == "client_credentials" and table.get("client_auth") is None and not _given(table):
        what = "client_secret, private_key or client_assertion, or client_auth with a certificate"
        yield ("client_secret",), f'grant = "client_credentials" needs what proves the client: {what}'
    if grant == "refresh_token" and not _has(table, "refresh_token") and not _has(table, "login_file"):
        yield ("refresh_token",), 'it is missing: grant = "refresh_token" needs the first one'
    if grant == "authorization_code" and not _has(table, "authorize_url") and not has_metadata:
        yield ("authorize_url",), 'it is missing: grant = "authorization_code" needs it, or issuer'
    if grant == "device_code" and not _has(table, "device_url") and not has_metadata:
        yield ("device_url",), 'it is missing: grant = "device_code" needs it, or issuer'
    if grant == "token_exchange":
        if not _has(table, "subject_token"):
            yield ("subject_token",), 'it is missing: grant = "token_exchange" needs it'
        if _has(table, "actor_token_type") and not _has(table, "actor_token"):
            yield ("actor_token_type",), "it goes with actor_token"
    if grant == "jwt_bearer":
        yield from _assertion_of_the_grant(table)


def _assertion_of_the_grant(table: Table) -> Iterator[Fault]:
    is_made = _has(table, "claims") or (_has(table, "private_key") and table.get("client_auth") != "private_key_jwt")
    if _has(table, "assertion") and is_made:
        other = "claims" if _has(table, "claims") else "private_key"
        yield ("assertion",), f"assertion is a ready-made JWT: {other} would make another one; remove one of them"
    elif not _has(table, "assertion") and not _has(table, "private_key"):
        yield ("private_key",), 'grant = "jwt_bearer" needs private_key and claims, or a ready-made assertion'
    elif not _has(table, "assertion") and not _has(table, "claims"):
        yield ("claims",), 'they are missing: grant = "jwt_bearer" signs them with private_key'


def _client_authentication(table: Table) -> Iterator[Fault]:
    given, wanted = _given(table), table.get("client_auth")
    if len(given) > 1:
        yield (given[1],), f"{' and '.join(given)}: the client authenticates in one way; remove one of them"
    if not given and wanted in BY_SECRET:
        yield ("client_auth",), f'client_auth = "{wanted}" needs client_secret'
    if not given and wanted == "private_key_jwt":
        yield ("client_auth",), 'client_auth = "private_key_jwt" needs private_key or client_assertion'
    if wanted in BY_CERTIFICATE and not _has(table, "client_cert"):
        yield ("client_auth",), f'client_auth = "{wanted}" needs client_cert'
    if len(given) == 1 and wanted is not None:
        fits = BY_SECRET if given[0] == "client_secret" else {"private_key_jwt"}
        if wanted not in fits and wanted in get_args(ClientAuth):
            yield ("client_auth",), f'client_auth = "{wanted}" does not use {given[0]}: the client has one way'
    has_proof = wanted not in {None, "none"} or bool(given)
    has_name = _has(table, "client_id") or _has(table, "client_assertion")
    if has_proof and not has_name and table.get("grant") in {"jwt_bearer", "token_exchange"}:
        yield ("client_id",), "it is missing: the client's proof needs its name"


def _assertions(table: Table) -> Iterator[Fault]:
    algorithm, has_key = table.get("assertion_algorithm"), _has(table, "private_key")
    by_secret = table.get("client_auth") == "client_secret_jwt"
    if not has_key and not by_secret:
        for key in ("private_key_id", "assertion_algorithm", "assertion_audience", "assertion_lifetime"):
            if _has(table, key):
                yield (key,), "it goes with private_key: nothing is signed here"
    elif isinstance(algorithm, str) and algorithm.startswith("HS") != (by_secret and not has_key):
        how = "a private key" if has_key else "client_secret"
        yield ("assertion_algorithm",), f'"{algorithm}" does not sign with {how}'
    audience = table.get("assertion_audience")
    if not isinstance(audience, str) or audience == "token_url":
        return
    if audience == "issuer":
        if not _has(table, "issuer") and _has(table, "token_url"):
            yield ("assertion_audience",), 'assertion_audience = "issuer" needs issuer'
    elif not audience.startswith("https://"):
        near = did_you_mean(audience, ("issuer", "token_url"))
        yield ("assertion_audience",), f'it is "issuer", "token_url" or a URL with https://{near}'


def _login_file(table: Table) -> Iterator[Fault]:
    key = table.get("login_file_key")
    if not _has(table, "login_file_key"):
        return
    if not _has(table, "login_file"):
        yield ("login_file_key",), "it goes with login_file: it seals that file"
    if (isinstance(key, Mapping) and "token" in key) or getattr(key, "token", None) is not None:
        yield ("login_file_key",), "a key does not change, as tokens do: use { credential = } or { file = }"


def _redirect(table: Table) -> Iterator[Fault]:
    value = table.get("redirect_uri")
    if isinstance(value, str) and (fault := redirect_fault(value)) is not None:
        yield ("redirect_uri",), fault


def _rows(table: Table) -> Iterator[Fault]:
    rows, grant = table.get("errors"), table.get("grant")
    for number, row in enumerate(rows if isinstance(rows, list | tuple) else ()):
        means = row.get("means") if isinstance(row, Mapping) else getattr(row, "means", None)
        if means == "login_required" and grant in GRANT_TYPES and grant not in LOGIN_GRANTS:
            yield (
                ("errors", number, "means"),
                f'means = "login_required" needs a login, which grant = "{grant}" has not',
            )


def _placeholders(table: Table) -> Iterator[Fault]:
    answer = table.get("answer")
    names = ["token"]
    for key in ("extra", "secret_extra"):
        found = answer.get(key) if isinstance(answer, Mapping) else getattr(answer, key, None)
        names += [f"extra.{name}" for name in found] if isinstance(found, Mapping) else []
    for key, known in (("headers", names), ("refresh_parameters", list(KEPT))):
        texts = table.get(key)
        for name, text in texts.items() if isinstance(texts, Mapping) else ():
            if isinstance(text, str):
                try:
                    fault = unknown_name(Text.parse(text).names, known)
                except ValueError as error:
                    fault = str(error) if key == "headers" else None
                if fault is not None:
                    yield (key, name), fault


def _scopes(table: Table) -> Iterator[Fault]:
    separator, scopes = table.get("scope_separator", " "), table.get("scope")
    for number, one in enumerate(scopes if isinstance(scopes, list | tuple) else ()):
        if isinstance(one, str) and isinstance(separator, str) and separator and separator in one:
            what = "a space" if separator == " " else separator
            yield ("scope", number), f"a scope holds {what}: write each scope by itself"


def _has(table: Table, key: str) -> bool:
    value = table.get(key)
    return value is not None and value != {} and value != []


def _given(table: Table) -> list[str]:
    """Return the client's credentials. The key of `jwt_bearer` signs the grant, unless the client uses it as well."""
    given = [key for key in CREDENTIALS if _has(table, key)]
    if table.get("grant") == "jwt_bearer" and table.get("client_auth") != "private_key_jwt":
        given = [key for key in given if key != "private_key"]
    return given


RULES: tuple[Callable[[Table], Iterator[Fault]], ...] = (
    _server,
    _needs_of_the_grant,
    _foreign_keys,
    _client_authentication,
    _assertions,
    _login_file,
    _redirect,
    _rows,
    _placeholders,
    _scopes,
)
