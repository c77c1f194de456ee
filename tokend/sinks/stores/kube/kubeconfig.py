"""The file of a kubeconfig, as kubectl has it: the server, its authorities, and one user's credential. Blocks.

JSON needs nothing. YAML needs the package ruamel.yaml, of the extra ``patch``.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokend.files import UntrustedError, read_whole, require_safe
from tokend.machine.late_imports import import_alone
from tokend.plugin.tls_settings import HeldPem
from tokend.values.secret import Secret

LARGEST_FILE_BYTES = 1024 * 1024
_NO_COMMANDS = (
    "its user has {key}, which tokend does not run: give auth beside kubeconfig, for example a token of a service "
    "account, or { command = [..] }"
)
# Keys of a user that are no credential of their own, each with the advice.
_REFUSED_USERS = {"exec": _NO_COMMANDS, "auth-provider": _NO_COMMANDS, "username": "its user has a password, which "
                  "API servers no longer take: use a token or a certificate"}  # fmt: skip
_REFUSED_CLUSTERS = {
    "insecure-skip-tls-verify": "its cluster has insecure-skip-tls-verify: name the authority instead",
    "tls-server-name": "its cluster has tls-server-name, which tokend does not support: use a name of the certificate",
}


@dataclass(frozen=True, slots=True)
class KubeAccess:
    """What a kubeconfig says about one context. Its repr shows no secret.

    ``token`` and ``token_file`` are the user's; both are None for a client's certificate, or without a credential.
    """

    server: str
    namespace: str | None = None
    proxy: str | None = field(default=None, repr=False)
    pem: HeldPem = field(default_factory=HeldPem, repr=False)
    token: Secret | None = None
    token_file: Path | None = None


def read_kubeconfig(path: Path, context: str | None = None, *, without_user: bool = False) -> KubeAccess:
    """Read the file for ``context``, None for its current one. ``without_user`` ignores the user's credential.

    Raises ValueError, which names the file and what is wrong, and quotes nothing else of it.
    """
    try:
        require_safe(path)
        document = _parsed(read_whole(path, at_most=LARGEST_FILE_BYTES))
        reader = _Reader(document, path.parent)
        return reader.access(context or _text(document, "current-context") or "", without_user=without_user)
    except UntrustedError as error:
        raise ValueError(f"file {path} is at an unsafe path: {error.strerror}") from None
    except OSError as error:
        raise ValueError(f"file {path} cannot be read: {error.strerror or error}") from None
    except _FaultError as error:
        raise ValueError(f"file {path}: {error}") from None


class _FaultError(Exception):
    """A fault of the file, as a sentence."""


def _parsed(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = _parsed_yaml(content)
    if not isinstance(found, dict):
        raise _FaultError("it holds no kubeconfig")
    return found


def _parsed_yaml(content: bytes) -> Any:
    try:
        import_alone("ruamel.yaml")  # on use: an optional package
        from ruamel.yaml import YAML
    except ImportError:
        raise _FaultError(
            "it is YAML, which needs a package: pip install 'tokend[patch]'; or convert it: kubectl config view --raw "
            "--flatten --minify -o json"
        ) from None
    try:
        return YAML(typ="safe", pure=True).load(content.decode("utf-8"))
    except Exception as error:  # a library's, with the text of the file
        raise _FaultError(f"it is neither JSON nor YAML ({type(error).__name__})") from None


class _Reader:
    """Parts of one document; ``directory`` is where its relative paths begin."""

    def __init__(self, document: Mapping[str, Any], directory: Path) -> None:
        self._document = document
        self._directory = directory
        self._files: list[Path] = []

    def access(self, context: str, *, without_user: bool) -> KubeAccess:
        if not context:
            raise _FaultError("it has no current-context: set context")
        chosen = self._named("contexts", "context", context)
        cluster = self._named("clusters", "cluster", _text(chosen, "cluster") or "")
        for key, advice in _REFUSED_CLUSTERS.items():
            if cluster.get(key):
                raise _FaultError(advice)
        server = _text(cluster, "server")
        if server is None:
            raise _FaultError("its cluster has no server")
        user: Mapping[str, Any] = {}
        if not without_user:
            user = self._named("users", "user", _text(chosen, "user") or "")
            for key, advice in _REFUSED_USERS.items():
                if user.get(key):
                    raise _FaultError(advice.replace("{key}", key))
        authorities = self._content(cluster, "certificate-authority")
        certificate, private = self._content(user, "client-certificate"), self._content(user, "client-key")
        token, token_file = _text(user, "token"), _text(user, "tokenFile")
        return KubeAccess(
            server,
            _text(chosen, "namespace"),
            _text(cluster, "proxy-url"),
            HeldPem(
                authorities,
                None if certificate is None else certificate + b"\n" + (private or b""),
                tuple(self._files),
            ),
            None if token is None or token_file is not None else Secret(token),
            None if token_file is None else self._directory / token_file,
        )

    def _named(self, plural: str, singular: str, name: str) -> Mapping[str, Any]:
        rows = self._document.get(plural)
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and row.get("name") == name and isinstance(row.get(singular), dict):
                found: Mapping[str, Any] = row[singular]
                return found
        raise _FaultError(f"it has no {singular} of that name")

    def _content(self, holder: Mapping[str, Any], key: str) -> bytes | None:
        """Return what ``KEY-data`` holds, or the file that ``KEY`` names; None without either."""
        encoded, path = _text(holder, f"{key}-data"), _text(holder, key)
        if encoded is not None:
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error:
                raise _FaultError(f"its {key}-data is no Base64") from None
        if path is None:
            return None
        place = self._directory / path
        self._files.append(place)
        require_safe(place)
        return read_whole(place, at_most=LARGEST_FILE_BYTES)


def _text(holder: Mapping[str, Any], key: str) -> str | None:
    found = holder.get(key)
    if found is not None and not isinstance(found, str):
        raise _FaultError(f"its {key} is no text")
    return found or None
