"""Keys of kind ``oauth2``. `consistency` has what must hold between them."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, field_validator, model_validator

from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.declared.literal_secrets import is_literal_secret
from tokend.plugin.declared.literal_slips import literal_slips
from tokend.plugin.declared.placeholders import TextField
from tokend.plugin.declared.request import refuse_keys
from tokend.plugin.declared.token_error_rows import Rows
from tokend.plugin.field_roles import Absence, Role
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings
from tokend.plugin.settings_base import AnchoredPath, Duration
from tokend.plugin.shown_text import looks_secret
from tokend.providers.oauth2.consistency import faults
from tokend.providers.oauth2.declared_answer import AnswerSettings, RequestSettings
from tokend.providers.oauth2.fields import EndpointUrl, Issuer, Parameters, Resources, Scopes, Several, Visible
from tokend.providers.oauth2.words import ClientAuth, Grant, SigningAlgorithm
from tokend.values.secret import Secret

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  (a type's name)


class OAuth2Settings(ConnectionSettings, HeldSettings):
    """The keys of one token of an OAuth 2 server."""

    local: ClassVar[bool] = False

    kind: Literal["oauth2"] = "oauth2"
    grant: Annotated[Grant, Role.ACCOUNT]

    # Where. What is written here counts before what the server's metadata say.
    token_url: Annotated[EndpointUrl | None, Role.UPSTREAM] = None
    authorize_url: Annotated[EndpointUrl | None, Role.HANDLING] = None
    device_url: Annotated[EndpointUrl | None, Role.HANDLING] = None
    revoke_url: Annotated[EndpointUrl | None, Role.HANDLING] = None
    issuer: Annotated[Issuer | None, Role.UPSTREAM] = None

    # Who: the client.
    client_id: Annotated[Visible | None, Role.ACCOUNT] = None
    client_secret: SecretField | None = None
    client_assertion: SecretField | None = None
    private_key: SecretField | None = None
    private_key_id: str | None = None
    assertion_algorithm: SigningAlgorithm | None = None
    assertion_audience: str | None = None
    assertion_lifetime: Duration = timedelta(minutes=5)
    client_auth: ClientAuth | None = None

    # For what.
    scope: Scopes = ()
    scope_separator: Annotated[str, Field(min_length=1, max_length=1)] = " "
    audience: Several = ()
    resource: Resources = ()
    token_parameters: Parameters = Field(default_factory=dict)
    login_parameters: Annotated[Parameters, Role.HANDLING] = Field(default_factory=dict)
    refresh_parameters: dict[str, TextField] = Field(default_factory=dict)
    request: RequestSettings = Field(default_factory=RequestSettings)

    # The grants' own.
    claims: Annotated[dict[str, Any], Role.ACCOUNT] = Field(default_factory=dict)
    assertion: SecretField | None = None
    subject_token: SecretField | None = None
    subject_token_type: str = ACCESS_TOKEN
    actor_token: SecretField | None = None
    actor_token_type: str = ACCESS_TOKEN
    requested_token_type: str | None = None

    # The login.
    refresh_token: Annotated[SecretField | None, Role.HANDLING, Absence.ALLOWED] = None
    redirect_uri: Annotated[str | None, Role.HANDLING] = None
    pkce: Annotated[bool, Role.HANDLING] = True
    subject: Annotated[str | None, Role.HANDLING] = None
    login_lifetime: Annotated[Duration | None, Role.HANDLING] = None
    login_lifetime_from: Annotated[Literal["login", "refresh"], Role.HANDLING] = "login"
    login_file: Annotated[AnchoredPath | None, Role.HANDLING] = None
    login_file_key: Annotated[SecretField | None, Role.HANDLING] = None

    # The answer.
    answer: AnswerSettings = Field(default_factory=AnswerSettings)
    errors: Annotated[Rows, Role.HANDLING] = ()
    zero_means: Annotated[Literal["expired", "never"], Role.HANDLING] = "expired"
    min_interval: Annotated[Duration, Role.HANDLING] = timedelta(seconds=1)
    max_lifetime: Annotated[Duration | None, Role.HANDLING] = None

    @field_validator("claims")
    @classmethod
    def _json(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("it holds something that JSON cannot say: write dates as numbers, no nan") from None
        if taken := sorted({"iat", "exp"} & value.keys()):
            raise ValueError(f"{' and '.join(taken)} cannot be written down: tokend adds them")
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _consistent(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Find what is wrong between keys also where single keys are wrong: all errors are reported at once."""
        if not isinstance(values, dict):
            return handler(values)
        values = _moved(values)
        found = list(faults(values))
        try:
            made = handler(values)
        except ValidationError as error:
            refuse_keys(found, error)
        refuse_keys(found)
        return made

    def __eq__(self, other: object) -> bool:
        """Return whether both ask for the same. 1, 1.0 and true are equal in Python but not in JSON."""
        return super().__eq__(other) and isinstance(other, OAuth2Settings) and repr(self.claims) == repr(other.claims)

    @property
    def server_url(self) -> tuple[str, str]:
        """The key that names the server, and its URL."""
        if self.token_url is not None:
            return "token_url", self.token_url
        if self.issuer is not None:
            return "issuer", self.issuer
        return "resource", self.resource[0] if self.resource else ""

    def warnings(self, secrets: Mapping[str, Secret]) -> Iterator[str]:
        """Yield warnings: texts that look like secrets, slips in expressions, an absent refresh token."""
        for key, texts in (
            ("token_parameters", self.token_parameters),
            ("login_parameters", self.login_parameters),
            ("request.headers", self.request.headers),
        ):
            for name, text in texts.items():
                if looks_secret(text) or (key != "request.headers" and is_literal_secret(name, text)):
                    yield f"{key}.{name}: this looks like a secret in the configuration itself, which is not hidden"
        if self.request.encoding == "query":
            yield 'request.encoding = "query": what is sent stands in the URL, which servers and proxies log'
        yield from literal_slips(self.answer, "answer")
        yield from literal_slips(self.errors, "errors")
        source = self.refresh_token
        if source is not None and not source.is_read_later and "refresh_token" not in secrets:
            yield f"refresh_token cannot be read ({source}): it is needed while there is no login"

    @property
    def uses_login(self) -> bool:
        """Whether the token comes from a login, with a refresh token."""
        return self.grant in {"refresh_token", "authorization_code", "device_code"}

    @property
    def rotates(self) -> bool:  # type: ignore[override]  # other kinds know it without settings
        """Whether a lost state would lose a login: it is kept in no file of its own."""
        return self.uses_login and self.login_file is None

    @property
    def account_fields(self) -> frozenset[str]:
        """The keys that identify the account. A subject token that is another provider's has that one's account.

        A login is the same however a person began it.
        """
        fields = super().account_fields - ({"grant", "claims"} if self.uses_login else set())
        if self.subject_token is not None and self.subject_token.token is not None:
            fields |= {"subject_token"}
        return fields | ({"resource"} if self.server_url[0] == "resource" else set())

    @property
    def request_interval_seconds(self) -> float:  # type: ignore[override]  # other kinds know it without settings
        """The least time between requests: ``min_interval``."""
        return self.min_interval.total_seconds()

    @property
    def method_of_client(self) -> ClientAuth | None:
        """The way of client authentication that the settings name or imply; None: the server's metadata choose."""
        if self.client_auth is not None:
            return self.client_auth
        if self.client_secret is not None:
            return None
        is_of_client = self.private_key is not None and self.grant != "jwt_bearer"
        return "private_key_jwt" if is_of_client or self.client_assertion is not None else "none"


def _moved(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table with ``encoding`` and ``method`` in ``request``, and ``zero_means`` outside ``answer``."""
    moved = dict(values)
    for key in ("encoding", "method"):
        inner = moved.get("request", {})
        if key in moved and isinstance(inner, dict) and key not in inner:
            moved["request"] = {**inner, key: moved.pop(key)}
    answer = moved.get("answer")
    if isinstance(answer, dict) and "zero_means" in answer and "zero_means" not in moved:
        moved["answer"] = {key: value for key, value in answer.items() if key != "zero_means"}
        moved["zero_means"] = answer["zero_means"]
    return moved
