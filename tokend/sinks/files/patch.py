"""Kind ``patch``: sets values in a JSON, YAML, TOML, INI or netrc file, and keeps every other byte."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from tokend.plugin.settings import part_of
from tokend.plugin.settings_base import Strings
from tokend.plugin.shown_text import shown
from tokend.plugin.templates import render
from tokend.sinks.files.edited import Edit, EditedFileSink
from tokend.sinks.files.patching import (
    NUMBER,
    Format,
    Pointer,
    UneditableError,
    UnencodableError,
    Value,
    check_pointer,
    edit,
    missing_package,
    parse_pointer,
)
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

MOST_KEYS = 100
LONGEST_TEMPLATE = 65_536
# The formats that know numbers.
_TYPED = {"json", "yaml", "toml"}

Template = Annotated[str, Field(min_length=1, max_length=LONGEST_TEMPLATE)]


class PatchSink(EditedFileSink):
    """Values in a file, by JSON Pointers: ``set`` has a Jinja template for each.

    The variables are those of the kind ``template``. The values are strings, and numbers for the pointers in
    ``numbers``. ``on_expiry = "remove"`` takes the keys away; tables that they were in stay.
    """

    kind: Literal["patch"] = "patch"
    format: Format
    set: Annotated[dict[str, Template], Field(min_length=1, max_length=MOST_KEYS, repr=False)]
    numbers: Strings = ()
    # Names of other held tokens, checked by `config.cross_checks`.
    tokens: Strings = ()

    @field_validator("format")
    @classmethod
    def _is_installed(cls, value: Format) -> Format:
        if (package := missing_package(value)) is not None:
            raise ValueError(f'{value} needs the package {package}: pip install "tokend[patch]"')
        return value

    @field_validator("set")
    @classmethod
    def _are_apart(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        pointers = {parse_pointer(text).keys: text for text in value}
        if (form := info.data.get("format")) is not None:
            for text in value:
                check_pointer(form, parse_pointer(text))
        for keys, text in pointers.items():
            for length in range(1, len(keys)):
                if (outer := pointers.get(keys[:length])) is not None:
                    raise ValueError(f"{shown(text)} lies within {shown(outer)}: a value has no keys")
        return value

    @field_validator("numbers")
    @classmethod
    def _are_values_of_the_format(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        form = info.data.get("format")
        if value and form is not None and form not in _TYPED:
            raise ValueError(f"{form} has no numbers: leave numbers out")
        if "set" in info.data and any(text not in info.data["set"] for text in value):
            raise ValueError("each of numbers is a key of set, written alike")
        return value

    @property
    def sharing(self) -> str:
        """The sinks that may share the file: those of the same format."""
        return f"{self.kind} {self.format}"

    def placed_templates(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield each template with the place of its pointer in the table."""
        yield from ((("set", text), template) for text, template in self.set.items())

    def exclusive_targets(self) -> frozenset[str]:
        """Return the pointers as parts of the file: sinks with pointers apart may share the file."""
        return frozenset(part_of(file, *text.split("/")) for file in super().exclusive_targets() for text in self.set)

    def setting(self, lease: Lease, others: Mapping[str, Lease]) -> Edit:
        """Return the edit that sets the rendered values."""
        return self._edit_of({parse_pointer(text): self._value(text, lease, others) for text in self.set})

    def removing(self) -> Edit:
        """Return the edit that takes the keys away."""
        return self._edit_of({parse_pointer(text): None for text in self.set})

    def trial(self) -> Edit:
        """Return an edit that sets other values."""
        return self._edit_of({parse_pointer(text): Value("0", text in self.numbers) for text in self.set})

    def _value(self, text: str, lease: Lease, others: Mapping[str, Lease]) -> Value:
        where = f"{self.target}: {shown(text)}"
        rendered = render(where, self.set[text], lease, others).decode()
        if not rendered:
            raise SinkError(f"{where}: the template yields nothing")
        if text in self.numbers and not NUMBER.fullmatch(rendered):
            raise SinkError(f"{where}: the template yields no number (digits, with an optional fraction)")
        return Value(rendered, text in self.numbers)

    def _edit_of(self, values: Mapping[Pointer, Value | None]) -> Edit:
        def change(content: bytes) -> bytes:
            try:
                return edit(content, self.format, values)
            except UneditableError as error:
                raise SinkError(f"{self.target}: {shown(str(error))}") from None
            except UnencodableError as error:
                raise SinkError(f"{self.target}: the value cannot be written as {shown(str(error))}") from None

        return change
