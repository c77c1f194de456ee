"""Values that a configuration declares, ``[values.NAME]``: bytes in order, hashed or signed, then encoded as text.

Parts are bytes, not texts: a nested hash, and the request's path, query and body as they are sent.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tokend.plugin.declared.built_in_names import unix_nanoseconds
from tokend.plugin.settings_base import Duration, Settings
from tokend.signing.request_hash import sorted_query

HashName = Literal["md5", "sha1", "sha256", "sha384", "sha512"]
Encoding = Literal["hex", "hex-upper", "base64", "base64url", "text"]
Below = tuple[str | int, ...]


class Part(Settings):
    """One part: a name, ``{ text = }``, the query in another form, or in a value a nested ``{ hash =, parts = }``."""

    name: str | None = None
    text: str | None = None
    # The query's pairs, as they are sent or sorted by name. With ``decoded`` without their percent-encoding.
    query: Literal["raw", "sorted"] | None = None
    decoded: bool = False
    hash: HashName | None = None
    parts: Annotated[tuple["PartField", ...], Field(strict=False)] = ()
    separator: str = ""
    # Of the nested hash: its bytes, or a text.
    output: Literal["raw", "hex", "hex-upper", "base64"] = "raw"

    @model_validator(mode="after")
    def _one_sort(self) -> Self:
        given = [key for key in ("name", "text", "query", "hash") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                'a part is a name, "path", or { text = "…" }, { query = "sorted" }, { hash = "sha256", parts = […] }'
            )
        if (self.hash is None) != (not self.parts):
            raise ValueError('a nested hash has parts: { hash = "sha256", parts = ["body"] }')
        if self.hash is None and (self.separator or self.output != "raw"):
            raise ValueError("separator and output are for a nested hash here")
        if any(part.hash is not None for part in self.parts):
            raise ValueError("a hash is nested once: write [values.NAME] for what lies deeper, and NAME here")
        if self.decoded and self.query is None:
            raise ValueError("decoded goes with query")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema: a name, or a table."""
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core_schema)]}

    def names(self) -> Iterator[tuple[Below, str]]:
        """Yield the names that the part uses, with the path of their key below the part."""
        if self.name is not None:
            yield (), self.name
        elif self.query is not None:
            yield (), "query"
        for index, part in enumerate(self.parts):
            yield from ((("parts", index, *below), name) for below, name in part.names())

    def raw(self, bytes_of: Callable[[str], bytes]) -> bytes:
        """Return the bytes of the part. ``bytes_of`` returns those of a name."""
        if self.name is not None:
            return bytes_of(self.name)
        if self.text is not None:
            return self.text.encode()
        if self.query is not None:
            return self._query(bytes_of("query").decode()).encode()
        whole = self.separator.encode().join(part.raw(bytes_of) for part in self.parts)
        assert self.hash is not None  # noqa: S101  (`_one_sort`)
        digest = hashlib.new(self.hash, whole, usedforsecurity=False).digest()
        return digest if self.output == "raw" else _encoded(digest, self.output).encode()

    def _query(self, query: str) -> str:
        if self.query == "sorted":
            pairs = [(name, text) for name, _, text in (pair.partition("=") for pair in query.split("&") if pair)]
            return sorted_query([(unquote(name), unquote(text)) for name, text in pairs] if self.decoded else pairs)
        return "&".join(map(unquote, query.split("&"))) if self.decoded else query


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


PartField = Annotated[Part, BeforeValidator(_named)]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    return timedelta(seconds=value) if isinstance(value, int) and not isinstance(value, bool) else value


class ComputedValue(Settings):
    """One value. ``hash``, ``hmac`` with ``key``, or ``totp``; with none of them the parts themselves.

    ``key`` and ``totp`` are names, as a rule of a secret. ``output = "base64url"`` has no padding.
    """

    hash: HashName | None = None
    hmac: HashName | None = None
    key: str | None = None
    totp: str | None = None
    parts: Annotated[tuple[PartField, ...], Field(strict=False)] = ()
    separator: str = ""
    output: Encoding | None = None
    prefix: str = ""
    digits: Annotated[int, Field(ge=6, le=8)] = 6
    period: Annotated[Duration, BeforeValidator(_seconds)] = timedelta(seconds=30)
    algorithm: Annotated[Literal["sha1", "sha256", "sha512"], BeforeValidator(_lower)] = "sha1"

    @field_validator("period")
    @classmethod
    def _whole_seconds(cls, value: timedelta) -> timedelta:
        if value % timedelta(seconds=1) or not value:
            raise ValueError('a period is whole seconds: "30s"')
        return value

    @model_validator(mode="after")
    def _one_sort(self) -> Self:
        given = [key for key in ("hash", "hmac", "totp") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"a value is one of hash, hmac and totp; found {' and '.join(given)}")
        if (self.hmac is None) != (self.key is None):
            raise ValueError('hmac and key go together: hmac = "sha256", key = "NAME", the name of a secret')
        if self.totp is not None and (self.parts or self.separator or self.output):
            raise ValueError("totp has digits, period and algorithm: no parts, separator or output")
        if self.totp is None and not self.parts:
            raise ValueError('a value has parts: parts = ["now_ms", "method", "path", "body"]')
        if self.totp is None and {"digits", "period", "algorithm"} & self._changed():
            raise ValueError("digits, period and algorithm are for totp")
        if self.output == "text" and given:
            raise ValueError("a hash is bytes: output is hex, hex-upper, base64 or base64url")
        return self

    def _changed(self) -> set[str]:
        fields = type(self).model_fields
        return {key for key in fields if getattr(self, key) != fields[key].default}

    @property
    def is_hidden(self) -> bool:
        """Whether the value is a secret whatever its parts are: who knows it can make the signed request."""
        return self.hmac is not None or self.totp is not None

    def names(self) -> Iterator[tuple[Below, str]]:
        """Yield the names that the value uses, with the path of their key below the value's table."""
        for key, name in (("key", self.key), ("totp", self.totp)):
            if name is not None:
                yield (key,), name
        for index, part in enumerate(self.parts):
            yield from ((("parts", index, *below), name) for below, name in part.names())

    def text(self, bytes_of: Callable[[str], bytes], now: datetime) -> bytes:
        """Return the value as it is sent. ``bytes_of`` returns the bytes of a name, ``now`` is the upstream's time."""
        if self.totp is not None:
            return (self.prefix + self._code(bytes_of(self.totp), now)).encode()
        whole = self.separator.encode().join(part.raw(bytes_of) for part in self.parts)
        if self.hash is not None:
            whole = hashlib.new(self.hash, whole, usedforsecurity=False).digest()
        elif self.hmac is not None and self.key is not None:
            whole = hmac.digest(bytes_of(self.key), whole, self.hmac)
        elif self.output in {None, "text"}:
            return self.prefix.encode() + whole
        return (self.prefix + _encoded(whole, self.output or "hex")).encode()

    def _code(self, key: bytes, now: datetime) -> str:
        """Return the one-time password: RFC 6238 and RFC 4226, 5.3."""
        counter = unix_nanoseconds(now) // 1_000_000_000 // (self.period // timedelta(seconds=1))
        digest = hmac.digest(key, counter.to_bytes(8, "big"), self.algorithm)
        start = digest[-1] & 0xF
        number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
        return str(number % 10**self.digits).zfill(self.digits)


def _encoded(raw: bytes, output: str) -> str:
    if output == "hex":
        return raw.hex()
    if output == "hex-upper":
        return raw.hex().upper()
    if output == "base64":
        return base64.b64encode(raw).decode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
