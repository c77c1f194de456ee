"""Places of values in an answer: a JMESPath expression over the JSON body, a header, a cookie, or the whole text."""

import base64
import binascii
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.expressions import LONGEST_EXPRESSION, Expression, ExpressionField
from tokend.plugin.settings_base import Settings, header_name

_FORMS = (
    'a place is a JMESPath expression, "data.value", or { header = "Name" }, { cookie = "name" } or { text = true }'
)


class Place(Settings):
    """One place, and how its text is read. A header that stands more than once in an answer is none: which one counts?

    ``encoding = "base64"`` decodes the text. ``after_last = "/"`` is what follows the last ``/``.
    """

    expression: ExpressionField | None = Field(default=None, alias="json")
    header: str | None = None
    cookie: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")] = None
    text_body: Annotated[bool, Field(alias="text")] = False
    encoding: Literal["base64"] | None = None
    after_last: Annotated[str | None, Field(min_length=1)] = None

    @field_validator("header")
    @classmethod
    def _header_name(cls, value: str | None) -> str | None:
        return None if value is None else header_name(value)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if [self.expression, self.header, self.cookie, self.text_body or None].count(None) != 3:
            raise ValueError(_FORMS)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema: an expression, or a table."""
        return {"anyOf": [{"type": "string", "minLength": 1, "maxLength": LONGEST_EXPRESSION}, handler(core_schema)]}

    def find(self, answer: Answer) -> Any:
        """Return what is there; None if there is nothing. Blocks and raises as `Answer.find`."""
        if self.header is not None:
            name = self.header.lower()
            return None if name in answer.reply.repeated else answer.reply.headers.get(name)
        if self.cookie is not None:
            return answer.cookie(self.cookie)
        if self.text_body:
            return answer.text()
        assert self.expression is not None  # noqa: S101  (`_one_place`)
        return answer.find(self.expression)

    def value(self, answer: Answer) -> Any:
        """Return what is there, decoded as the place says. Blocks and raises as `find`."""
        return self.find(answer) if self.encoding is None and self.after_last is None else self.text(answer)

    def text(self, answer: Answer) -> str | None:
        """Return the text or number that is there, as text; None if there is none. Blocks and raises as `find`."""
        found = self.find(answer)
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            return None
        text = str(found)
        if self.encoding == "base64":
            try:
                text = base64.b64decode(text, validate=True).decode()
            except (binascii.Error, ValueError):
                return None
        return text if self.after_last is None else text.rpartition(self.after_last)[2]


def _written(value: Any) -> Any:
    if isinstance(value, str):
        # Compiled here: a fault is one of the place, in which there is no key json.
        return {"json": Expression(value)}
    if not isinstance(value, dict | Place):
        raise ValueError(f"expected a string: {_FORMS}")  # noqa: TRY004  (pydantic wants it)
    return value


PlaceField = Annotated[Place, BeforeValidator(_written)]
"""The type of a settings field with a place: a string is an expression."""
