"""Settings of answers and of requests: where the server's are not OAuth's usual ones."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from tokend.plugin.declared.places import Place, PlaceField
from tokend.plugin.declared.request import FIXED_HEADERS
from tokend.plugin.declared.token_answer import TokenAnswerSettings
from tokend.plugin.settings_base import Headers, Settings

# OAuth's own places (RFC 6749, 5.1). Several servers name the end of the refresh token, each in its own way.
PLACES = {
    "token": ("access_token",),
    "token_type": ("token_type",),
    "expires_in": ("expires_in",),
    "expires_at": (),
    "refresh_token": ("refresh_token",),
    "refresh_expires_in": ("refresh_token_expires_in", "x_refresh_token_expires_in", "refresh_expires_in"),
    "subject": (),
}


class AnswerSettings(TokenAnswerSettings):
    """The table ``answer``: where an answer has what. None: where OAuth has it."""

    token: PlaceField | None = None

    @property
    def has_places(self) -> bool:
        """Whether a place is looked up, which blocks."""
        return any(self.place(key) is not None for key in PLACES) or bool(self.extra or self.secret_extra)

    def place(self, key: str) -> Place | None:
        """Return the place of one of `PLACES`; None for OAuth's own."""
        found: Place | None = getattr(self, key)
        return found


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
