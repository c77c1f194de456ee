"""Keys of kind ``http``: secrets, a request, and what its answer says."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import Field, model_validator

from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.declared.answer import LARGEST_BODY_BYTES
from tokend.plugin.declared.expressions import ExpressionField
from tokend.plugin.declared.request import RequestSettings, Where, refuse_keys, unknown_names
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.secret_table import NamedSecrets, SecretTable
from tokend.plugin.settings import HeldSettings
from tokend.plugin.settings_base import Settings


class AnswerSettings(Settings):
    """The table ``answer``: where an answer has what."""

    token: ExpressionField
    expires_in: ExpressionField | None = None
    zero_means: Literal["expired", "never"] = "expired"


class HttpSettings(ConnectionSettings, HeldSettings):
    """The keys of one token of an API."""

    local: ClassVar[bool] = False
    largest_body_bytes: ClassVar[int] = LARGEST_BODY_BYTES

    kind: Literal["http"] = "http"
    secret_table: NamedSecrets = Field(default_factory=SecretTable, alias="secrets")
    request: RequestSettings
    answer: Annotated[AnswerSettings, Role.HANDLING]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_keys(self._faults())
        return self

    def _faults(self) -> Iterator[tuple[Where, str]]:
        yield from unknown_names({("request",): (self.request, [*self.secret_table])})

    @property
    def server_url(self) -> tuple[str, str]:
        """The key whose table holds the server's URL, and its origin."""
        return "request", self.request.url.origin

    def secrets(self) -> dict[str, SecretSource]:
        """Return the secrets of the table, as ``secrets.NAME``."""
        return cast(SecretTable, self.secret_table).all("secrets")
