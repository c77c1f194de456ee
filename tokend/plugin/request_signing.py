"""Signing of a caller's own call to an upstream: the call, the calls that a configuration allows, the interface.

A kind that signs is a model that inherits `SigningSettings` and has the method of `RequestSigner`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol, runtime_checkable

from pydantic import field_validator

from tokend.plugin.field_roles import Role
from tokend.plugin.provider import Runtime
from tokend.plugin.settings import ProviderSettings
from tokend.plugin.settings_base import Strings
from tokend.values.secret import Secret

LONGEST_PATH = 2048
_METHOD = re.compile(r"[A-Za-z]{1,16}", re.ASCII)
# RFC 3986, 3.3: a path's characters, and percent-encoded ones.
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What a server may read as another path: slash, backslash, an encoded percent sign, NUL and other control characters.
_AMBIGUOUS = re.compile(r"%(?:2F|5C|25|[01][0-9A-F]|7F)", re.ASCII)


@dataclass(frozen=True, slots=True)
class CallToSign:
    """One call. ``method`` and ``path`` are in the form of `normalised`; ``query`` has decoded names and values.

    ``body`` is the very bytes that the caller will send. Neither query nor body is in the repr.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


class SigningSettings(ProviderSettings):
    """The key of a kind that signs calls: a mixin for `HeldSettings` or `OnDemandSettings`.

    ``sign_paths`` are the calls that may be signed: ``"GET /api/v1/get-balance"``. Method and path are compared as a
    whole; a query is signed, not compared.
    """

    sign_paths: Annotated[Strings, Role.HANDLING] = ()

    @field_validator("sign_paths")
    @classmethod
    def _normalised(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        calls = []
        for text in value:
            method, space, path = text.partition(" ")
            if not space:
                raise ValueError('each is a method and a path: "GET /api/v1/get-balance"')
            calls.append(" ".join(normalised(method, path)))
        if len(set(calls)) != len(calls):
            raise ValueError("each method and path stands there once")
        return tuple(calls)

    def may_sign(self, method: str, path: str) -> bool:
        """Return whether ``sign_paths`` has this call; both are in the form of `normalised`."""
        return f"{method} {path}" in self.sign_paths


@runtime_checkable
class RequestSigner(Protocol):
    """A kind that signs calls: a `SigningSettings` model with this method."""

    async def sign(self, runtime: Runtime, call: CallToSign) -> Mapping[str, Secret | str]:
        """Return the headers that sign ``call``, which ``sign_paths`` has. Sends no request.

        Raises `InvalidParametersError` for a call whose signature would not cover what it seems to, and `SecretError`.
        Implementers must not log.
        """


def normalised(method: str, path: str) -> tuple[str, str]:
    """Return a method in upper case, and a path whose unreserved characters are not percent-encoded (RFC 3986, 6.2.2).

    Raises ValueError for a path that servers may read in two ways: it has ``..``, ``//``, ``%2f`` or the like. The
    messages do not quote the path.
    """
    if not _METHOD.fullmatch(method):
        raise ValueError("the method is a word of letters: GET, POST")
    if len(path) > LONGEST_PATH or not _PATH.fullmatch(path):
        raise ValueError(f"the path begins with /, has no ? and no #, and at most {LONGEST_PATH} characters of a URL")
    plain = _ENCODED.sub(_decoded, path)
    if _AMBIGUOUS.search(plain):
        raise ValueError("the path has an encoded slash, backslash, percent sign or control character")
    if "//" in plain or {".", ".."} & set(plain.split("/")):
        raise ValueError("the path has //, /./ or /../")
    return method.upper(), plain


def _decoded(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()
