"""Settings of answers: places by JMESPath, rows of errors, and further settings of requests."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from tokend.plugin.declared.error_rows import Statuses
from tokend.plugin.declared.expressions import Expression, ExpressionField
from tokend.plugin.declared.request import FIXED_HEADERS
from tokend.plugin.settings_base import Duration, Headers, Settings

Means = Literal["rejected", "login_required", "rate_limited", "transient", "clock"]
# The whole body of an answer that a row names.
LONGEST_TEXT_BYTES = 200
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
# OAuth's own places (RFC 6749, 5.1). Several servers name the end of the refresh token, each in its own way.
PLACES = {
    "token": ("access_token",),
    "token_type": ("token_type",),
    "expires_in": ("expires_in",),
    "refresh_token": ("refresh_token",),
    "refresh_expires_in": ("refresh_token_expires_in", "x_refresh_token_expires_in", "refresh_expires_in"),
    "subject": (),
}


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name is letters, digits and _, a letter first")
    return value


Members = dict[Annotated[str, AfterValidator(_name)], ExpressionField]


class AnswerSettings(Settings):
    """The table ``answer``: where an answer has what. None: where OAuth has it."""

    token: ExpressionField | None = None
    token_type: ExpressionField | None = None
    expires_in: ExpressionField | None = None
    refresh_token: ExpressionField | None = None
    refresh_expires_in: ExpressionField | None = None
    subject: ExpressionField | None = None
    extra: Members = Field(default_factory=dict)
    secret_extra: Members = Field(default_factory=dict)
    # The life of a token of which the answer names no end.
    lifetime: Duration | None = None

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        if both := sorted(self.extra.keys() & self.secret_extra.keys()):
            raise ValueError(f"{both[0]} stands in extra and in secret_extra: a value is a secret, or it is not")
        return self

    @property
    def has_expressions(self) -> bool:
        """Whether an expression is evaluated, which blocks."""
        return any(self.place(key) is not None for key in PLACES) or bool(self.extra or self.secret_extra)

    def place(self, key: str) -> Expression | None:
        """Return the expression of one of `PLACES`; None for OAuth's own place."""
        found: Expression | None = getattr(self, key)
        return found


class AnswerRow(Settings):
    """One row of ``errors``: an answer matches if all given conditions hold.

    ``text`` is the whole body without outer white space. ``pause`` is the time until the next request, for an answer
    without ``Retry-After``.
    """

    status: Statuses | None = None
    when: ExpressionField | None = None
    text: Annotated[str | None, Field(min_length=1)] = None
    means: Means
    pause: Duration | None = None

    @field_validator("text")
    @classmethod
    def _short(cls, value: str | None) -> str | None:
        if value is not None and (size := len(value.encode())) > LONGEST_TEXT_BYTES:
            raise ValueError(f"it is the whole body, at most {LONGEST_TEXT_BYTES} bytes; found {size}")
        return None if value is None else value.strip()

    @model_validator(mode="after")
    def _some_condition(self) -> Self:
        if self.status is None and self.when is None and self.text is None:
            raise ValueError("a row of errors has a condition: status, when or text")
        if self.pause is not None and self.means not in {"rate_limited", "transient"}:
            raise ValueError('pause goes with means = "rate_limited" or "transient"')
        return self

    def matches(self, status: int, body: bytes, document: Any) -> bool:
        """Return whether an answer is one of this row. Blocks and raises as `Expression.find`."""
        return (
            (self.status is None or status in self.status)
            and (self.text is None or body.strip() == self.text.encode())
            and (self.when is None or (document is not None and self.when.holds(document)))
        )


class RequestSettings(Settings):
    """The table ``request``: how parameters are sent, and further headers."""

    encoding: Literal["form", "json", "query"] = "form"
    method: Literal["POST", "GET"] = "POST"
    headers: Headers = Field(default_factory=dict)

    @field_validator("headers")
    @classmethod
    def _free_headers(cls, value: dict[str, str]) -> dict[str, str]:
        if fixed := sorted(name for name in value if name.lower() in FIXED_HEADERS):
            raise ValueError(f"{fixed[0]} is set by tokend itself")
        if len({name.lower() for name in value}) != len(value):
            raise ValueError("a header stands here twice: upper and lower case do not make two of it")
        return value

    @model_validator(mode="after")
    def _body_of_a_get(self) -> Self:
        if self.method == "GET" and self.encoding != "query":
            raise ValueError('a GET has no body: method = "GET" goes with encoding = "query"')
        return self
