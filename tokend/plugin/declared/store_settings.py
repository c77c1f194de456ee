"""Settings of a store whose requests and answers the configuration declares: kind ``http``."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from tokend.plugin.declared.literal_secrets import literal_secrets
from tokend.plugin.declared.literal_slips import literal_slips
from tokend.plugin.declared.request import FIXED_HEADERS, RequestSettings, Where, refuse_keys, unknown_names
from tokend.plugin.declared.store_answers import InspectRequest, RemoveRequest, SecondRequest, WriteAnswer
from tokend.plugin.declared.store_error_rows import StoreErrorRow
from tokend.plugin.remote_sink import HttpSinkSettings, ValuesSettings
from tokend.plugin.settings import part_of
from tokend.plugin.settings_base import header_name
from tokend.values.secret import Secret

# No URL contains it.
NO_TEXT = "\1"
_OF_THE_TOKEN = ("generation", "expires_at", "expires_at_unix")


class DeclaredStoreSettings(ValuesSettings, HttpSinkSettings):
    """The keys of one target, which one request writes."""

    # Tells sinks of one URL apart, and stands in the target.
    key: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")] = None
    credential_header: Annotated[str, AfterValidator(header_name)] = Field(default="Authorization", alias="auth_header")
    credential_prefix: Annotated[str, Field(pattern=r"^([\x21-\x7e][\x20-\x7e]*)?$")] = Field(
        default="Bearer ", alias="auth_prefix"
    )
    request: RequestSettings
    answer: WriteAnswer = Field(default_factory=WriteAnswer)
    errors: Annotated[tuple[StoreErrorRow, ...], Field(strict=False)] = ()
    inspect_request: InspectRequest | None = Field(default=None, alias="inspect")
    remove_request: RemoveRequest | None = Field(default=None, alias="remove")
    cleanup: SecondRequest | None = None

    @property
    def server_url(self) -> tuple[str, str]:
        """The key whose table holds the store's URL, and its origin."""
        return "request", self.request.url.origin

    @property
    def target(self) -> str:
        """Host and path, with placeholders as they are written, and the key."""
        return f"http:{self.request.url.shown}{f'#{self.key}' if self.key else ''}"

    def exclusive_targets(self) -> frozenset[str]:
        """Sinks of one URL share it if their keys, queries or bodies differ, as for the variables of one project.

        A URL with the token's name is another one for each token.
        """
        if "name" in self.request.url.names:
            return frozenset()
        whole = f"http:{self.request.url.shown}"
        return frozenset({f"{whole}{NO_TEXT}{self.hidden_part}" if self.key is None else part_of(whole, self.key)})

    @property
    def hidden_part(self) -> str:
        """A digest of what the request writes to: sinks without a ``key`` may share a target's name."""
        return "" if self.key is not None else hashlib.sha256(self.request.outline.encode()).hexdigest()

    def is_read_by(self, argv: tuple[str, ...]) -> bool:
        """Return whether a command has the URL among its words."""
        shown = self.request.url.shown
        return "{" not in shown and self.key is None and any(shown in word for word in argv)

    def removal_fault(self) -> str | None:
        """Return the error for ``on_expiry = "remove"`` without the request for it."""
        return None if self.remove_request else 'on_expiry = "remove" needs the table remove: the request that removes'

    @property
    def auth_place(self) -> tuple[str, str]:
        """The header of the credential, and the text before the credential."""
        return self.credential_header, self.credential_prefix

    @property
    def compares(self) -> bool:  # type: ignore[override]  # other kinds know it without their settings
        """Whether a write names the state that it replaces."""
        return "version" in names_of(self.request)

    @property
    def writes_end(self) -> bool:  # type: ignore[override]  # other kinds know it without their settings
        """Whether the request has the end of the token."""
        return not {"expires_at", "expires_at_unix"}.isdisjoint(names_of(self.request))

    def warnings(self, revealed: Mapping[str, Secret]) -> Iterator[str]:  # noqa: ARG002  # what every kind gets
        """Yield warnings: slips in expressions, texts that look like secrets: only ``auth`` is hidden and watched."""
        for table, request in self._tables():
            for place in literal_secrets(request, str(table[0])):
                yield f"{place}: this looks like a secret in the configuration itself; the place for one is auth"
        yield from literal_slips(self.answer, "answer")
        yield from literal_slips(self.errors, "errors")
        for where, request in self._tables():
            yield from literal_slips(request, *where)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        base = ["name", *(["key"] if self.key else []), "null"]
        values = [f"values.{key}" for key in self.values] or ["value"]
        known: dict[Where, list[str]] = {
            ("request",): [*values, *base, *_OF_THE_TOKEN, "version"],
            ("inspect",): base,
            ("remove",): [*base, "version"],
            ("cleanup",): [*base, *_OF_THE_TOKEN, "version", "old_version"],
        }
        unknown = unknown_names({where: (table, known[where]) for where, table in self._tables()})
        refuse_keys([*self._faults(), *unknown])
        return self

    def _tables(self) -> Iterator[tuple[Where, RequestSettings]]:
        tables = {"request": self.request, "inspect": self.inspect_request, "remove": self.remove_request,
                  "cleanup": self.cleanup}  # fmt: skip
        yield from (((name,), table) for name, table in tables.items() if table is not None)

    def _faults(self) -> Iterator[tuple[Where, str]]:
        """Yield what is wrong between the tables, each with the path of its key."""
        for where, table in self._tables():
            if table.url.origin != self.request.url.origin:
                yield (*where, "url"), "its scheme, host and port must be those of request.url: auth goes there too"
            for name in table.headers:
                if self.auth is not None and name.lower() == self.credential_header.lower():
                    yield (*where, "headers", name), f"{name} holds auth: remove it here, or write another auth_header"
        if self.credential_header.lower() in FIXED_HEADERS:
            yield ("auth_header",), f"{self.credential_header} is set by tokend itself"
        read = None if self.inspect_request is None else self.inspect_request.answer
        if read is not None and set(read.places()) != (set(self.values) or {""}):
            what = f"values = {{ … }} with a place for each of {', '.join(self.values)}" if self.values else "value"
            yield ("inspect", "answer"), f"what is read back needs its place: {what}"
        if self.compares and (read is None or read.version is None):
            yield ("request",), "{version} is read before a write: an [inspect] with answer.version is missing"
        if self.cleanup is not None and self.answer.version is None:
            yield ("cleanup",), "the second request needs the versions: answer.version is missing"


def names_of(request: RequestSettings) -> set[str]:
    """Return the names of all placeholders of a request."""
    return {name for _, name in request.names()}
