"""Formats in which programs print a token and files hold one: `raw`, `native`, `oauth`, `exec-credential`, `aws`. Pure.

`read_token` finds the token and what is said about its end; `FoundToken.token` dates it. It raises `TransientError`,
which quotes nothing of the text. A refresh token in the text is not kept.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from tokend.plugin.found_token import CUT, FoundToken, Source
from tokend.plugin.response_status import token_value
from tokend.plugin.settings_base import is_header_name
from tokend.plugin.strict_json import parse_value
from tokend.plugin.token_expiry import MISSING, jwt_part
from tokend.values.secret import Secret

Format = Literal["raw", "native", "oauth", "exec-credential", "aws"]
LARGEST_TEXT_BYTES = 256 * 1024
_K8S = "client.authentication.k8s.io/"
_K8S_VERSIONS = (f"{_K8S}v1", f"{_K8S}v1beta1")
_NO_WORD = re.compile(r"[^\x21-\x7e]", re.ASCII)


def read_token(raw: bytes, form: Format, source: Source) -> FoundToken:
    """Find the token in a text. Raises `TransientError` for one that is not of the format."""
    if form == "raw":
        return _of_text(_line(raw, source), source)
    return find_token(source.said(lambda: parse_value(raw, source.name)), form, source)


def find_token(document: Any, form: Format, source: Source) -> FoundToken:
    """Find the token in a JSON value: for `raw` a string, else an object. Raises `TransientError`."""
    if form == "raw":
        if not isinstance(document, str):
            raise source.fault('what is no string: format = "oauth" reads an object with access_token')
        return _of_text(document, source)
    if not isinstance(document, dict):
        raise source.fault("JSON that is not an object")
    read = {"native": _native, "oauth": _oauth, "exec-credential": _exec_credential, "aws": _aws}[form]
    return read(document, source)


def _line(raw: bytes, source: Source) -> str:
    """Return the text without one newline at its end."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise source.fault("a token that holds control or non-ASCII characters: discarded") from None
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text


def _of_text(text: str, source: Source) -> FoundToken:
    value = _value(text, source)
    if _is_cut_jwt(text):
        raise source.fault(CUT)
    return FoundToken(source, value)


def _is_cut_jwt(text: str) -> bool:
    """Return whether a text begins as a JWT or JWE does and ends before its last part: it is being written."""
    parts = text.split(".")
    header = jwt_part(parts[0])
    if header is None or "alg" not in header:
        return False
    whole = 5 if "enc" in header else 3
    # Only an unsecured JWT has an empty last part (RFC 7519, 6.1).
    return len(parts) < whole or (not parts[-1] and header["alg"] != "none")


def _value(value: Any, source: Source) -> Secret:
    return source.said(lambda: token_value(value, source.name))


def _native(document: dict[str, Any], source: Source) -> FoundToken:
    """Read tokend's own JSON: that of its files, and of ``tokend get -o json``, which has headers as well."""
    if document.get("version", 1) != 1:
        raise source.fault("another version of tokend's JSON than 1")
    headers = document.get("headers")
    if headers is not None and not _are_headers(headers):
        raise source.fault("headers that are not names with a text each")
    return FoundToken(
        source,
        _value(document.get("access_token"), source),
        _scheme(document, source),
        ends=_given(document, "expires_at", "expires_at_unix"),
        headers=None if headers is None else {name: Secret(text) for name, text in headers.items()},
    )


def _are_headers(headers: Any) -> bool:
    return isinstance(headers, dict) and all(
        is_header_name(name) and isinstance(text, str) and not re.search(r"[^\x20-\x7e]", text)
        for name, text in headers.items()
    )


def _oauth(document: dict[str, Any], source: Source) -> FoundToken:
    """Read an answer of a token endpoint (RFC 6749, 5.1), also as libraries store one, with an absolute time."""
    scheme = _scheme(document, source)
    lasts = document.get("expires_in")
    return FoundToken(
        source,
        _value(document.get("access_token"), source),
        scheme,
        ends=_given(document, "expires_at", "expires_on"),
        lasts=MISSING if lasts is None else lasts,
        headers={} if scheme.upper() == "N_A" else None,  # RFC 8693, 2.2.1: the token is no access token
    )


def _scheme(document: dict[str, Any], source: Source) -> str:
    scheme = document.get("token_type")
    if scheme is None:
        return "Bearer"
    # RFC 9110, 11.1: the name of a scheme is spelt like that of a header.
    if not isinstance(scheme, str) or not is_header_name(scheme):
        raise source.fault("a token_type that is none")
    return "Bearer" if scheme.lower() == "bearer" else scheme


def _exec_credential(document: dict[str, Any], source: Source) -> FoundToken:
    """Read the answer of a credential plugin of Kubernetes."""
    if document.get("kind") != "ExecCredential" or document.get("apiVersion") not in _K8S_VERSIONS:
        raise source.fault(f"no ExecCredential of {_K8S}v1 or v1beta1")
    status = document.get("status")
    if not isinstance(status, dict):
        raise source.fault("an ExecCredential without a status")
    return FoundToken(
        source,
        _value(status.get("token"), source),
        ends=_given(status, "expirationTimestamp"),
        extra=_secrets(status, ("clientCertificateData", "clientKeyData"), source),
    )


def _aws(document: dict[str, Any], source: Source) -> FoundToken:
    """Read the answer of a `credential_process`. The token is the answer's JSON: a key pair is one value."""
    if document.get("Version") != 1:
        raise source.fault('no answer of a credential_process with "Version": 1')
    keys = _secrets(document, ("AccessKeyId", "SecretAccessKey", "SessionToken"), source)
    if missing := next((name for name in ("AccessKeyId", "SecretAccessKey") if name not in keys), None):
        raise source.fault(f"an answer of a credential_process without {missing}")
    if any(_NO_WORD.search(value.reveal()) for value in keys.values()):
        raise source.fault("a key that is not one word of ASCII: discarded")
    ends = _given(document, "Expiration")
    members: dict[str, Any] = {"Version": 1, **{name: value.reveal() for name, value in keys.items()}}
    if ends and isinstance(ends[0], str) and ends[0].isascii():
        members["Expiration"] = ends[0]
    return FoundToken(
        source,
        Secret(json.dumps(members, separators=(",", ":"))),
        "AWS4-HMAC-SHA256",  # the scheme of the signatures that the keys make
        ends=ends,
        headers={},  # AWS takes no key in a header
        extra=keys,
    )


def _given(document: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """Return the members that are there and not null."""
    return tuple(value for name in names if (value := document.get(name)) is not None)


def _secrets(document: Mapping[str, Any], names: Iterable[str], source: Source) -> dict[str, Secret]:
    """Return the members that are there, not null and not empty, which are strings."""
    found = {}
    for name in names:
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            raise source.fault(f"a {name} that is no string")
        if value:
            found[name] = Secret(value)
    return found
