"""Kind ``projectx``: ProjectX Gateway / TopstepX, a login with user name and API key (docs/vendors.md, projectx)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self

import orjson
from pydantic import model_validator

from tokend.plugin.field_roles import Absence, Disclosure, Role
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.provider import Runtime
from tokend.plugin.response_status import RATE_LIMITED, refuse, refused_twice, token_value
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.settings import HeldSettings, NetworkSettings
from tokend.plugin.strict_json import parse_object, try_object
from tokend.plugin.text import header_text, text_of
from tokend.plugin.token_expiry import LONGEST_LIFE_SECONDS, MISSING, expiry, jwt_expiry
from tokend.plugin.vendor_words import with_words
from tokend.values.errors import AttemptError, RejectedError, SecretError, TransientError, UnsafePathError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Token, utc
from tokend.values.url import host_of

DEFAULT_LIFE_SECONDS = 24 * 3600.0
MINUTE = 60.0
# Least remaining lifetime for a validation. With less, the extension may come too late: log in.
VALIDATE_SECONDS = 60.0
LOGIN_CODES = {
    1: "UserNotFound",
    2: "PasswordVerificationFailed",
    3: "InvalidCredentials",
    4: "AppNotFound",
    5: "AppVerificationFailed",
    6: "InvalidDevice",
    7: "AgreementsNotSigned",
    8: "UnknownError",
    9: "ApiSubscriptionNotFound",
    10: "ApiKeyAuthenticationDisabled",
}
UNKNOWN_ERROR = 8
# A validation has codes of its own: 1 and 2 are about the session, 3 says that it is over.
UNKNOWN_VALIDATION_ERROR = 4
UNAUTHORIZED = 401
# A JWT's header is a JSON object. The vendor's guide names quotes around a pasted token as the usual mistake.
JWT_START = b"eyJ"
# A whole line of a .env file. An opaque token may end with =, so that a JWT must follow.
ENV_LINE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=[\"']?[\w-]+\.[\w-]+\.[\w-]*[\"']?", re.ASCII)


class ProjectX(HeldSettings, NetworkSettings):
    """A held token of a ProjectX firm. Without credentials, ``initial_token`` is served until it expires."""

    minimum_lead_seconds: ClassVar[float] = 5 * 60.0

    kind: Literal["projectx"] = "projectx"
    base_url: str = "https://api.topstepx.com"
    username: Annotated[SecretField | None, Role.ACCOUNT, Disclosure.HARMLESS] = None
    api_key: SecretField | None = None
    refresh: Annotated[Literal["login", "validate"], Role.HANDLING] = "login"
    initial_token: Annotated[SecretField | None, Role.HANDLING, Absence.ALLOWED] = None

    @model_validator(mode="after")
    def _needs_credentials(self) -> Self:
        if (self.username is None) != (self.api_key is None) or (self.username is None and self.initial_token is None):
            missing = [key for key in ("username", "api_key") if getattr(self, key) is None]
            raise ValueError(f"missing {' and '.join(missing)}: a login needs both (or only initial_token, unrenewed)")
        return self

    @property
    def can_renew(self) -> bool:
        """Whether ``username`` and ``api_key`` are configured."""
        return self.username is not None

    def optional_secrets(self) -> frozenset[str]:
        """Return all three secrets if credentials and ``initial_token`` are configured, else none."""
        if self.initial_token is None or self.username is None:
            return frozenset()
        return frozenset({"initial_token", "username", "api_key"})

    def missing_secrets(self, unreadable: frozenset[str]) -> frozenset[str]:
        """Return the unreadable secrets that a token needs: none with a readable initial token, else the credentials.

        Without configured credentials the initial token itself is needed.
        """
        if self.initial_token is not None and "initial_token" not in unreadable:
            return frozenset()
        return unreadable if self.username is None else unreadable - {"initial_token"}

    def warnings(self, secrets: Mapping[str, Secret]) -> tuple[str, ...]:
        """Return warnings about the readable secrets: missing credentials, and an initial token that is not used."""
        missing = [key for key in ("username", "api_key") if not self._is_given(key, secrets)]
        said = []
        initial = secrets.get("initial_token")
        refusal = None if initial is None else _refusal_of_initial(initial, datetime.now(UTC).timestamp())
        if missing and refusal is None and self._is_given("initial_token", secrets):
            said.append(
                f"{' and '.join(missing)} missing: the initial token is served until it expires, and not renewed"
            )
        elif missing and refusal is not None:
            said.append(f"{' and '.join(missing)} missing, and {refusal}: there is no token until a person gives one")
        elif refusal is not None:
            said.append(f"{refusal}: it is not used")
        if refusal is None and initial is not None and not initial.reveal_bytes().startswith(JWT_START):
            said.append("the initial token does not start with eyJ, as the vendor's tokens do")
        return tuple(said)

    def _is_given(self, key: str, secrets: Mapping[str, Secret]) -> bool:
        source: SecretSource | None = getattr(self, key)
        return key in secrets or (source is not None and source.is_read_later)

    async def initial(self, runtime: Runtime) -> Token | None:
        """Return the initial token; None if it is not readable.

        Raises `SecretError` if it cannot be a token, or if its own `exp` is past or impossible.
        """
        if self.initial_token is None:
            return None
        try:
            value = await runtime.reveal(self.initial_token)
        except SecretError:
            return None
        now = runtime.clock.instant()
        if (refusal := _refusal_of_initial(value, now.wall.timestamp())) is not None:
            raise SecretError(refusal)
        token = Secret(value.reveal())
        exp = jwt_expiry(token)
        # Without an exp the vendor's rule applies: a whole lifetime from now.
        left = DEFAULT_LIFE_SECONDS if exp is None else exp - now.wall.timestamp()
        return _token(token, now, now.after(left))

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Log in. With ``refresh = "validate"``, first try to extend a token with more than a minute left.

        A login that is refused after a validation was is the second refusal of one attempt, and final.
        """
        if self.username is None or self.api_key is None:
            raise await self._not_renewable(runtime, previous, "there is no username and api_key")
        is_refused = False
        if self.refresh == "validate" and previous is not None and _seconds_left(previous, runtime) > VALIDATE_SECONDS:
            try:
                extended = await self._validate(runtime, previous)
            except RejectedError:
                extended, is_refused = None, True
            if extended is not None:
                return extended
        try:
            user, key = await runtime.reveal(self.username), await runtime.reveal(self.api_key)
        except SecretError as error:
            if self.initial_token is None or isinstance(error, UnsafePathError):
                raise
            raise await self._not_renewable(runtime, previous, error.detail) from None
        try:
            return await self._login(runtime, user, key)
        except RejectedError as error:
            if not is_refused:
                raise
            raise refused_twice(error, "the validation") from None

    async def _not_renewable(self, runtime: Runtime, previous: Token | None, why: str) -> AttemptError:
        """Make the error of an attempt without credentials. It is a rejection where a person must give a new token."""
        try:
            if previous is not None or await self.initial(runtime) is None:
                return SecretError(f"it cannot be renewed: {why}")
            refusal = "initial_token is over"
        except SecretError as error:
            refusal = error.detail
        return RejectedError(f"{refusal}, and it cannot be renewed: {why}")

    async def _login(self, runtime: Runtime, user: Secret, key: Secret) -> Token:
        body = orjson.dumps({"userName": text_of(user, "username"), "apiKey": text_of(key, "api_key")})
        headers: dict[str, str | Secret] = {"Content-Type": "application/json", "Accept": "text/plain"}
        url = f"{self.base_url}/api/Auth/loginKey"
        return self._token_of_login(await runtime.exchange(UpstreamRequest("POST", url, headers, body)), (user, key))

    def _token_of_login(self, reply: UpstreamReply, sent: tuple[Secret, ...]) -> Token:
        host = host_of(self.base_url)
        if reply.status != 200:
            _refuse_status(reply, host, sent)
        answer = parse_object(reply.body, host)
        if answer.get("success") is not True or answer.get("errorCode") not in (0, None):
            raise with_words(_refusal(answer, host), reply, sent)
        token = token_value(answer.get("token"), host)
        expires = expiry(
            reply, token, host=host,
            relative=answer.get("expiresIn", MISSING), unit_seconds=MINUTE, default_seconds=DEFAULT_LIFE_SECONDS,
            zero_means=self.zero_means,
        )  # fmt: skip
        return _token(token, reply.sent_at, expires)

    async def _validate(self, runtime: Runtime, previous: Token) -> Token | None:
        """Ask the upstream to extend ``previous``. Return the token, or None if a login is needed.

        Raises `RejectedError` if the upstream refuses it: a login is needed, too. Raises `TransientError` without an
        answer, and `RateLimitedError` for a 429: a login would be one more request to the same host.
        """
        host = host_of(self.base_url)
        headers: dict[str, str | Secret] = {"Authorization": _bearer(previous.value), "Accept": "text/plain"}
        reply = await runtime.exchange(UpstreamRequest("POST", f"{self.base_url}/api/Auth/validate", headers))
        if reply.status == RATE_LIMITED:
            refuse(reply, host, secrets=[previous.value])
        answer = try_object(reply.body) if reply.status == 200 else None
        if reply.status == UNAUTHORIZED or (answer is not None and _refuses(answer)):
            raise RejectedError(f"{host} refused the validation")
        if answer is None or answer.get("success") is not True or answer.get("errorCode") not in (0, None):
            return None
        if not answer.get("newToken"):
            return previous
        try:
            token = token_value(answer["newToken"], host)
            expires = expiry(reply, token, host=host, default_seconds=DEFAULT_LIFE_SECONDS)
        except TransientError:
            return None
        return previous if token == previous.value else _token(token, reply.sent_at, expires)


def _refusal_of_initial(value: Secret, now: float) -> str | None:
    """Return why a configured token is not used; None if it is. ``now`` is in Unix seconds. Quotes nothing."""
    try:
        text = value.reveal()
    except ValueError:
        return "initial_token is not UTF-8 text"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        return "initial_token stands in quotes, which must go"
    if text.lower().startswith("bearer "):
        return "initial_token begins with Bearer, which must go"
    if any(character.isspace() for character in text):
        return "initial_token holds white space, which must go"
    if ENV_LINE.fullmatch(text):
        return "initial_token is a line of a .env file: everything up to the = must go"
    try:
        token = Secret(header_text(value, "initial_token"))
    except SecretError as error:
        return error.detail
    if (exp := jwt_expiry(token)) is None:
        return None
    if exp - now > LONGEST_LIFE_SECONDS or exp <= 0:
        return "initial_token has an end that cannot be right"
    return None if exp > now else f"initial_token expired at {utc(datetime.fromtimestamp(exp, UTC))}"


def _token(value: Secret, issued_at: Instant, expires_at: Instant | None) -> Token:
    return Token(
        value=value,
        token_type="Bearer",  # noqa: S106  (a scheme's name)
        issued_at=issued_at,
        expires_at=expires_at,
        headers={"Authorization": _bearer(value)},
    )


def _bearer(token: Secret) -> Secret:
    return Secret(f"Bearer {token.reveal()}")


def _seconds_left(token: Token, runtime: Runtime) -> float:
    return float("inf") if token.expires_at is None else runtime.clock.instant().until(token.expires_at)


def _refuse_status(reply: UpstreamReply, host: str, sent: tuple[Secret, ...]) -> NoReturn:
    """Raise the error for a status. The vendor's 400 has a ProblemDetails body and means that a field is missing.

    A 400 with any other body is a proxy's.
    """
    if reply.status == 400:
        problem = try_object(reply.body)
        if problem is not None and ("errors" in problem or ("title" in problem and "status" in problem)):
            error = RejectedError(f"{host} answered 400: userName or apiKey is missing or malformed")
            raise with_words(error, reply, sent)
    refuse(reply, host, secrets=sent)


def _refuses(answer: dict[str, Any]) -> bool:
    """Return whether an answer to a validation has the code of a refusal."""
    code = answer.get("errorCode")
    return isinstance(code, int) and not isinstance(code, bool) and code not in (0, UNKNOWN_VALIDATION_ERROR)


def _refusal(answer: dict[str, Any], host: str) -> AttemptError:
    """Make the error for an error code of the login."""
    code = answer.get("errorCode")
    if isinstance(code, bool) or not isinstance(code, int) or code == 0:
        return TransientError(f"{host} answered without success and without an error code")
    name = LOGIN_CODES.get(code, "an undocumented code")
    if code == UNKNOWN_ERROR:
        return TransientError(f"{host} answered with error code {code} ({name})")
    return RejectedError(f"{host} rejected the login: {name} (error code {code})")
