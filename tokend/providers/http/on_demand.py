"""Kind ``http-on-demand``: a token of an API per query, by a request with the caller's parameters."""

from collections.abc import Iterator, Mapping
from typing import Literal, Self

from pydantic import model_validator

from tokend.plugin.declared.memory_counters import next_counters
from tokend.plugin.declared.parameters import ParametersField, absent, check_parameters
from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.request import Where, refuse_keys
from tokend.plugin.declared.request_names import needed_by
from tokend.plugin.declared.unfit_values import UnfitValueError, refuse_parameters
from tokend.plugin.provider import Runtime
from tokend.plugin.settings import OnDemandSettings
from tokend.plugin.vendor_words import with_words
from tokend.providers.http.exchange import ask
from tokend.providers.http.refusals import raise_refusal
from tokend.providers.http.settings import ExchangeSettings
from tokend.providers.http.tokens import token_of
from tokend.values.errors import AttemptError, InvalidParametersError
from tokend.values.tokens import Token
from tokend.values.url import DOTS


class HttpOnDemand(ExchangeSettings, OnDemandSettings):
    """A token of an API that is issued per query: one request, nothing kept."""

    kind: Literal["http-on-demand"] = "http-on-demand"
    parameters: ParametersField

    @model_validator(mode="after")
    def _without_a_login(self) -> Self:
        refuse_keys(self._own_faults())
        return self

    def _own_faults(self) -> Iterator[tuple[Where, str]]:
        for row, one in enumerate(self.errors):
            if one.means == "login_required":
                yield ("errors", row, "means"), 'a token per query comes from no login: write means = "rejected"'
        for name in self._names_in_path():
            if (parameter := self.parameters.get(name)) is not None and parameter.optional:
                yield ("parameters", name, "optional"), "it stands in the URL's path, which needs it"

    def check(self, parameters: Mapping[str, str]) -> None:
        """Check a caller's parameters: also that they can stand where the table has them."""
        check_parameters(self.parameters, parameters)
        errors: dict[str, list[str]] = {}
        texts = (*self.request.headers.values(), *self.made_headers.values())
        in_headers = {name for text in texts for name in text.names}
        for name in sorted(in_headers & parameters.keys()):
            if not (parameters[name].isascii() and parameters[name].isprintable()):
                errors[name] = ["is not one line of ASCII, and stands in a header"]
        for name in self._names_in_path():
            if parameters.get(name) in DOTS:
                errors[name] = ["is . or .., which leads elsewhere in the URL's path"]
        if errors:
            raise InvalidParametersError(errors)

    async def issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        """Send the request once."""
        given: dict[str, Value] = {name: parameters.get(name, "") for name in self.parameters}
        request = self.request.without(absent(self.parameters, parameters))
        try:
            answered = await ask(self, runtime, request, given, None, _in_memory)
        except UnfitValueError as error:
            refuse_parameters(error, needed_by(error.names, self.values, request), parameters)
            raise
        if not answered.found.is_granted:
            raise_refusal(answered)
        try:
            return token_of(self, answered, None)
        except AttemptError as error:
            raise with_words(error, answered.found.reply, answered.secrets) from None

    def ready_headers(self, token: Token) -> dict[str, str]:
        """Return the headers to send, in clear: those that ``headers`` declares were made with the token."""
        return {name: value.reveal() for name, value in token.headers.items()}

    def _names_in_path(self) -> tuple[str, ...]:
        return self.request.url.path.names


async def _in_memory(runtime: Runtime, names: list[str]) -> Mapping[str, int]:
    return next_counters(names, runtime.clock.instant().wall, runtime.upstream_now())
