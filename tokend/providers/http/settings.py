"""Keys of kind ``http``: names, requests, and what their answers say. `consistency` has what must hold between them."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator

from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.declared.answer import LARGEST_BODY_BYTES
from tokend.plugin.declared.built_in_names import COUNTERS
from tokend.plugin.declared.error_rows import SuccessStatuses
from tokend.plugin.declared.expressions import ExpressionField
from tokend.plugin.declared.literal_secrets import literal_secrets
from tokend.plugin.declared.literal_slips import literal_slips
from tokend.plugin.declared.named_settings import NamedSettings
from tokend.plugin.declared.placeholders import Text
from tokend.plugin.declared.places import PlaceField
from tokend.plugin.declared.ready_headers import header_texts
from tokend.plugin.declared.request import RequestSettings, refuse_keys
from tokend.plugin.declared.request_names import needed, needed_by
from tokend.plugin.declared.token_answer import TokenAnswerSettings, ZeroMeans
from tokend.plugin.declared.token_error_rows import Rows
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings
from tokend.plugin.settings_base import AnchoredPath, Duration
from tokend.providers.http.consistency import faults
from tokend.providers.http.login_rules import REFRESH_TOKEN
from tokend.providers.http.login_settings import LoginSettings
from tokend.providers.http.names import is_of_token, names_in_url, sent_secrets
from tokend.values.secret import Secret


class AnswerSettings(TokenAnswerSettings):
    """The table ``answer``: which answers are a success, and where they have what."""

    # None: every 2xx.
    status: SuccessStatuses | None = None
    success: ExpressionField | None = None
    token: PlaceField
    zero_means: ZeroMeans = "expired"


class RenewSettings(RequestSettings):
    """The table ``renew``: the request that is made while a valid token is held."""

    token_optional: bool = False


class ExchangeSettings(ConnectionSettings, NamedSettings):
    """The keys of a request for a token and of its answer, whether the token is held or issued per query."""

    local: ClassVar[bool] = False
    largest_body_bytes: ClassVar[int] = LARGEST_BODY_BYTES

    request: RequestSettings
    answer: AnswerSettings
    errors: Annotated[Rows, Role.CONNECTION] = ()
    max_lifetime: Annotated[Duration | None, Role.HANDLING] = None

    @model_validator(mode="wrap")
    @classmethod
    def _consistent(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Find what is wrong between keys also where single keys are wrong: all errors are reported at once."""
        try:
            made = handler(values)
        except ValidationError as error:
            refuse_keys(faults(values) if isinstance(values, dict) else (), error)
            raise
        refuse_keys(faults(made.__dict__))
        return made

    @property
    def server_url(self) -> tuple[str, str]:
        """The key whose table holds the server's URL, and its origin."""
        return "request", self.request.url.origin

    @property
    def made_headers(self) -> dict[str, Text]:
        """The headers for readers that name more than the token and its members: they are made with the token."""
        texts = header_texts(self.headers).items()
        return {name: text for name, text in texts if not all(map(is_of_token, text.names))}

    @property
    def requests(self) -> dict[str, RequestSettings]:
        """The requests, by their keys."""
        return {"request": self.request}

    def warnings(self, secrets: Mapping[str, Secret]) -> Iterator[str]:  # noqa: ARG002  # what every kind gets
        """Yield warnings: texts that look like secrets, secrets in a URL, slips in expressions, no end."""
        for table, request in self.requests.items():
            for place in literal_secrets(request, table):
                yield f"{place}: this looks like a secret in the configuration itself; the place for one is secrets"
            for place, name in names_in_url(self, request):
                yield f"{table}.{place}: {{{name}}} stands in the URL, which servers and proxies log"
        yield from literal_slips(self.answer, "answer")
        yield from literal_slips(self.errors, "errors")
        answer = self.answer
        ends = (answer.expires_in, answer.expires_at, answer.expires_daily, answer.lifetime, self.max_lifetime)
        if all(one is None for one in ends):
            yield (
                "answer: nothing says when the token ends, unless it is a JWT: write expires_in, expires_at, "
                'expires_daily or lifetime; lifetime = "none" for a token without an end'
            )


class HttpSettings(ExchangeSettings, HeldSettings):
    """The keys of one token of an API."""

    keeps_documents: ClassVar[bool] = True

    kind: Literal["http"] = "http"
    # Another one asks for no other token, and may end a failure.
    renew: Annotated[RenewSettings | None, Role.CONNECTION] = None
    login: Annotated[LoginSettings | None, Role.HANDLING] = None
    subject: Annotated[str | None, Role.HANDLING] = None
    login_file: Annotated[AnchoredPath | None, Role.HANDLING] = None
    login_file_key: Annotated[SecretField | None, Role.HANDLING] = None
    min_interval: Annotated[Duration, Role.HANDLING] = timedelta(seconds=1)

    @property
    def requests(self) -> dict[str, RequestSettings]:
        """The requests, by their keys."""
        return super().requests if self.renew is None else {**super().requests, "renew": self.renew}

    @property
    def request_interval_seconds(self) -> float:  # type: ignore[override]  # other kinds know it without settings
        """The least time between requests: ``min_interval``."""
        return self.min_interval.total_seconds()

    @classmethod
    def request_fields(cls) -> frozenset[str]:
        """Return the keys that enter the request, and the headers for readers that cannot be made without one."""
        return super().request_fields() | {"made_headers"}

    @property
    def account_fields(self) -> frozenset[str]:
        """The keys that identify the account: the request, and the secrets that are sent as they are.

        A key that only signs may be another one of the same account. Another provider's token stands for its account.
        A person's login is the same whatever else the request says.
        """
        tokens = {key for key, source in self.secrets().items() if source.token is not None}
        whole = "request" if self.login is None else "login_place"
        return frozenset({whole, *(f"secrets.{name}" for name in sent_secrets(self)), *tokens})

    # -------------------------------------------------------------- the login

    @property
    def uses_login(self) -> bool:
        """Whether the token comes from a login: a person's, or one with a refresh token."""
        return self.login is not None or self.answer.refresh_token is not None

    @property
    def begins_login(self) -> bool:
        """Whether the request begins a login: it needs no person."""
        return self.login is None and self.answer.refresh_token is not None

    @property
    def refreshes_by_token(self) -> bool:
        """Whether ``renew`` refreshes a login by the token held, without a refresh token."""
        return self.renew is not None and REFRESH_TOKEN not in self.names_of_renewal

    @property
    def counts_in_state(self) -> bool:
        """Whether a request has a counter, or a header for readers: each value is saved before it is sent."""
        in_headers = needed_by((name for text in self.made_headers.values() for name in text.names), self.values)
        return bool((needed(self.request, self.values) | self.names_of_renewal | in_headers) & COUNTERS.keys())

    @property
    def names_of_renewal(self) -> frozenset[str]:
        """All names that ``renew`` needs; empty without it."""
        return frozenset() if self.renew is None else needed(self.renew, self.values)

    @property
    def rotates(self) -> bool:  # type: ignore[override]  # other kinds know it without settings
        """Whether a lost state would lose a login: it is kept in no file of its own."""
        return self.uses_login and self.login_file is None

    @property
    def login_place(self) -> str:
        """Where the login is: the origin of the request, and the address that a person opens, without its query."""
        return f"{self.request.url.origin} {'' if self.login is None else self.login.url.shown}"
