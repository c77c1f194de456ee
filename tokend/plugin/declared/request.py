"""A request that a configuration declares: method, URL, query, headers, and a body as JSON, form or text."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from tokend.plugin.declared.json_template import JsonField
from tokend.plugin.declared.placeholders import Text, TextField, Value, unknown_name
from tokend.plugin.declared.url_template import UrlField, form_encoded
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.settings_base import Settings, header_name
from tokend.values.secret import Secret

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
# The client sets these itself: another value would mean another host, another length or another connection.
FIXED_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "accept-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
    }
)
HeaderTexts = dict[Annotated[str, AfterValidator(header_name)], TextField]
Where = tuple[str | int, ...]


class RequestSettings(Settings):
    """The keys of one request."""

    method: Method
    url: UrlField = Field(repr=False)
    query: dict[str, TextField] = Field(default_factory=dict, repr=False)
    headers: HeaderTexts = Field(default_factory=dict, repr=False)
    json_body: JsonField | None = Field(default=None, alias="json", repr=False)
    form: dict[str, TextField] | None = Field(default=None, repr=False)
    text: TextField | None = Field(default=None, repr=False)

    @field_validator("headers", mode="wrap")
    @classmethod
    def _free_headers(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> dict[str, Text]:
        """Find what is wrong with each header also where others are wrong: all errors are reported at once."""
        found = [*_header_faults(value)] if isinstance(value, Mapping) else []
        try:
            made: dict[str, Text] = handler(value)
        except ValidationError as error:
            refuse_keys(found, error)
            raise
        refuse_keys(found)
        return made

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        bodies = {"json": self.json_body, "form": self.form, "text": self.text}
        given = [key for key, body in bodies.items() if body is not None]
        if len(given) > 1:
            raise ValueError(f"a request has one body: {' or '.join(given)}")
        if given and self.method == "GET":
            raise ValueError(f"a GET has no body: remove {given[0]}, or write another method")
        return self

    def names(self) -> Iterator[tuple[Where, str]]:
        """Yield the name of each placeholder, with the path of its key below the request's table."""
        for where, text in self.texts():
            yield from ((where, name) for name in text.names)

    def texts(self) -> Iterator[tuple[Where, Text]]:
        """Yield each text that may have placeholders, with the path of its key below the request's table."""
        yield ("url",), self.url.text
        for key, texts in (("query", self.query), ("headers", self.headers), ("form", self.form or {})):
            yield from (((key, item), text) for item, text in texts.items())
        if self.text is not None:
            yield ("text",), self.text
        if self.json_body is not None:
            yield from ((("json", *path), text) for path, text in self.json_body.texts())

    def without(self, names: Collection[str]) -> Self:
        """Return the request without what is the placeholder of one of ``names`` alone: a member, field or header."""
        if not names:
            return self
        kept: dict[str, object] = {
            key: {name: text for name, text in texts.items() if text.only not in names}
            for key, texts in (("query", self.query), ("headers", self.headers), ("form", self.form))
            if texts is not None
        }
        if self.json_body is not None:
            kept["json_body"] = self.json_body.without(names)
        return self.model_copy(update=kept)

    @property
    def outline(self) -> str:
        """What the request writes to, as text: URL, query and body with their placeholders. It may hold a secret."""
        texts = [[where, text.shown] for where, text in self.texts() if where[0] in {"url", "query", "form", "text"}]
        return json.dumps([texts, None if self.json_body is None else self.json_body.shown], sort_keys=True)

    def make(self, values: Mapping[str, Value]) -> UpstreamRequest:
        """Return the request with these values.

        Raises `UnfitValueError` if a value does not fit into the URL.
        """
        headers: dict[str, str | Secret] = {name: text.fill(values) for name, text in self.headers.items()}
        body, kind = self.body(values)
        given = {name.lower() for name in headers}
        if kind is not None and "content-type" not in given:
            headers["Content-Type"] = kind
        if "accept" not in given:
            headers["Accept"] = "application/json"
        return UpstreamRequest(self.method, self.url.fill(values, self.query), headers, body)

    def body(self, values: Mapping[str, Value]) -> tuple[bytes, str | None]:
        """Return the body with these values, and its content type; None without a body."""
        if self.json_body is not None:
            return self.json_body.fill(values), "application/json"
        if self.form is not None:
            filled = {name: text.fill(values) for name, text in self.form.items()}
            return form_encoded(filled).encode(), "application/x-www-form-urlencoded"
        if self.text is not None:
            text = self.text.fill(values)
            return text.reveal_bytes() if isinstance(text, Secret) else text.encode(), "text/plain; charset=utf-8"
        return b"", None


def unknown_names(tables: Mapping[Where, tuple[RequestSettings, Collection[str]]]) -> Iterator[tuple[Where, str]]:
    """Yield the fault of each unknown placeholder, with the path of its key.

    ``tables`` has the request and the names that are filled in, by the path of the request's table.
    """
    for where, (request, known) in tables.items():
        for below, name in request.names():
            if (fault := unknown_name([name], known)) is not None:
                yield (*where, *below), fault


def refuse_keys(faults: Iterable[tuple[Where, str]], error: ValidationError | None = None) -> None:
    """Raise a `ValidationError` with all faults, each at the path of its key, and those of ``error`` before them.

    Return if there is none.
    """
    errors = [
        InitErrorDetails(type="value_error", loc=where, input="", ctx={"error": ValueError(fault)})
        for where, fault in faults
    ]
    if error is not None:
        errors = [
            InitErrorDetails(type=one["type"], loc=one["loc"], input=one["input"], ctx=one.get("ctx", {}))
            for one in error.errors(include_url=False)
        ] + errors
    if errors:
        raise ValidationError.from_exception_data("request", errors, hide_input=True)


def _header_faults(written: Mapping[Any, Any]) -> Iterator[tuple[Where, str]]:
    """Yield what is wrong with each header, beyond the form of its name and of its text."""
    names: set[str] = set()
    for name, text in written.items():
        lower = str(name).lower()
        if lower in FIXED_HEADERS:
            yield (name,), f"{name} is set by tokend itself"
        elif lower in names:
            yield (name,), "a header stands here twice: upper and lower case do not make two of it"
        names.add(lower)
        if not all(part.isprintable() and part.isascii() for part in _literals(text)):
            yield (name,), "a header's value is one line of ASCII"


def _literals(text: Any) -> list[str]:
    """Return the literal parts of a text, as it is written or parsed; none where it cannot be read."""
    try:
        parsed = Text.parse(text) if isinstance(text, str) else text
    except ValueError:
        return []
    return [part for part in parsed.parts if isinstance(part, str)] if isinstance(parsed, Text) else []
