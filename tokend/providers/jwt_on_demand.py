"""Kind ``jwt-on-demand``: one JWT per query, signed on this machine, with the caller's parameters in its claims."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Literal, Self

from pydantic import model_validator

from tokend.plugin.declared.built_in_names import COUNTERS, Moment
from tokend.plugin.declared.json_template import JsonField, JsonTemplate
from tokend.plugin.declared.memory_counters import next_counters
from tokend.plugin.declared.named_settings import NamedSettings
from tokend.plugin.declared.parameters import ParametersField, absent, check_parameters
from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.ready_headers import filled_headers, header_faults, header_texts
from tokend.plugin.declared.request import Where, refuse_keys
from tokend.plugin.declared.request_names import name_faults, needed_by, text_faults, value_faults
from tokend.plugin.declared.signed_request import Names
from tokend.plugin.declared.unfit_values import UnfitValueError, refuse_parameters
from tokend.plugin.jwt_settings import JwtSettings
from tokend.plugin.provider import Runtime
from tokend.plugin.settings import OnDemandSettings
from tokend.values.errors import TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

# Of a busy machine: a signature takes some milliseconds by itself.
SIGN_SECONDS = 20.0
# The times of the token, as names.
TIMES = ("iat", "exp")


class JwtOnDemand(JwtSettings, NamedSettings, OnDemandSettings):
    """A token that tokend mints for one query: no request, nothing kept."""

    kind: Literal["jwt-on-demand"] = "jwt-on-demand"
    parameters: ParametersField
    claims: JsonField | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_keys(self._faults())
        return self

    def _faults(self) -> Iterator[tuple[Where, str]]:
        known = [*self.named_secrets, *self.parameters, *TIMES]
        tables = (("secrets", self.named_secrets), ("values", self.values), ("parameters", self.parameters))
        yield from name_faults(self.named_secrets, self.values, self.parameters)
        for table, name in ((table, name) for table, names in tables for name in TIMES if name in names):
            yield (table, name), f"{{{name}}} is a time of the token: choose another name"
        yield from value_faults(self.values, known)
        for path, text in self._template.texts():
            yield from text_faults(text, self.values, known, ("claims", *path))
        yield from header_faults(self.headers, self.values, [*known, "token"])
        claims = self._template.shown if self._template.is_table else {}
        if not self._template.is_table:
            yield ("claims",), "claims are a table"
        for name in (*TIMES, *(("jti",) if self.jti else ())):
            if (written := claims.get(name)) is not None and written != f"{{{name}}}":
                advice = f'write "{{{name}}}" to say where it stands' if name in TIMES else "remove it, or jti = true"
                yield ("claims", name), f"tokend makes {name}: {advice}"

    @property
    def _template(self) -> JsonTemplate:
        return JsonTemplate({}) if self.claims is None else self.claims

    def check(self, parameters: Mapping[str, str]) -> None:
        """Check a caller's parameters."""
        check_parameters(self.parameters, parameters)

    async def issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        """Sign one JWT."""
        try:
            return await self._issue(runtime, parameters)
        except UnfitValueError as error:
            refuse_parameters(error, needed_by(error.names, self.values), parameters)
            raise

    async def _issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        given: dict[str, Value] = {name: await runtime.reveal(one) for name, one in self.named_secrets.items()}
        given |= {name: parameters.get(name, "") for name in self.parameters}
        secret = await runtime.reveal(self.secret)
        now, upstream_now = runtime.clock.instant(), runtime.upstream_now()
        issued, expires = self.times(upstream_now.timestamp())
        given |= {"iat": issued, "exp": expires}
        moment = Moment(upstream_now, next_counters(self._counters(), now.wall, upstream_now))
        claims = self._template.without(absent(self.parameters, parameters)).filled(Names(self.values, given, moment))
        claims = {**claims, **{name: given[name] for name in TIMES if name not in claims}}
        value = await self._signed(runtime, claims, secret)
        names = Names(self.values, {**given, "token": value}, moment)
        seconds = expires / (1000 if self.time_unit == "ms" else 1)
        return Token(
            value=value,
            token_type="Bearer",  # noqa: S106  (a scheme's name)
            issued_at=now,
            # From the claims' own times, which are rounded down: the lease must not outlive exp.
            expires_at=now.after(seconds - upstream_now.timestamp()),
            headers=filled_headers(header_texts(self.headers), names),
        )

    async def _signed(self, runtime: Runtime, claims: Mapping[str, Any], secret: Secret) -> Secret:
        """Sign claims; in a thread with a key pair, which takes milliseconds: readers must not wait for callers."""
        if self.algorithm.startswith("HS"):
            return self.signed(claims, secret)
        try:
            return await runtime.run_in_thread(partial(self.signed, claims, secret), seconds=SIGN_SECONDS)
        except TimeoutError:
            raise TransientError("the token was not signed in time: is the machine busy?", repeatable=True) from None

    def _counters(self) -> frozenset[str]:
        """Return the counters that claims and headers need."""
        texts = [text for _, text in self._template.texts()] + list(header_texts(self.headers).values())
        return needed_by((name for text in texts for name in text.names), self.values) & COUNTERS.keys()

    def ready_headers(self, token: Token) -> dict[str, str]:
        """Return the headers to send, in clear: those that ``headers`` declares were made with the token."""
        return {name: value.reveal() for name, value in token.headers.items()}
