"""Kind ``http``: a token of an API, whose requests and answers the configuration declares."""

from collections.abc import Mapping

from tokend.plugin.declared.token_members import made_headers
from tokend.plugin.login import BrowserLogin, DeviceLogin, Flow, RememberingRuntime
from tokend.plugin.provider import Runtime
from tokend.plugin.vendor_words import with_words
from tokend.providers.http.attempt_time import AttemptTime
from tokend.providers.http.browser_login import begin_in_browser, finish_in_browser
from tokend.providers.http.exchange import ask
from tokend.providers.http.refreshing import (
    ask_something_harmless,
    begin_alone,
    raise_needing_person,
    refresh_login,
)
from tokend.providers.http.renewing import renewed
from tokend.providers.http.settings import HttpSettings
from tokend.providers.http.tokens import token_of
from tokend.values.errors import AttemptError, LoginRefusedError, RejectedError
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token, shown_extra


class Http(HttpSettings):
    """A held token of an API."""

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Renew the token held, if that is declared; send the request where there is none, or it is refused."""
        if self.uses_login:
            raise LoginRefusedError("the token comes from a login")
        began, is_refused = AttemptTime.begin(runtime), False
        if self.renew is not None and previous is not None:
            try:
                if (token := await renewed(self, runtime, self.renew, previous, began)) is not None:
                    return token
            except RejectedError:
                is_refused = True
        answered = await ask(self, runtime, self.request, {}, previous, began=began)
        if not answered.found.is_granted:
            raise_needing_person(answered, is_second=is_refused)
        try:
            return token_of(self, answered, previous)
        except AttemptError as error:
            raise with_words(error, answered.found.reply, answered.secrets) from None

    def ready_headers(self, token: Token) -> dict[str, str]:
        """Return the headers to send with each call: those that ``headers`` declares.

        One that names more than the token and its members was made with the token.
        """
        kept = {name.lower(): value for name, value in token.headers.items()}
        made = {name: kept[name.lower()].reveal() for name in self.made_headers if name.lower() in kept}
        here = {name: text for name, text in self.headers.items() if name not in self.made_headers}
        if any(name.lower() == "authorization" for name in self.made_headers):
            here = {"Authorization": "", **here}
        return {**made_headers(here, token)[0], **made}

    def shown_extra(self, token: Token) -> "Mapping[str, JSON | Secret]":
        """Return the further members of the answer: those of ``extra`` and ``secret_extra``."""
        return shown_extra(token)

    def remark_on(self, token: Token) -> str | None:
        """Return the remark on a token without an end that the settings do not expect."""
        is_meant = self.answer.lifetime == "none" or self.answer.zero_means == "never"
        if token.expires_at is not None or is_meant:
            return None
        return f"{self.upstream} names no end; set answer.lifetime"

    # -------------------------------------------------------------- the login

    @property
    def login_client(self) -> LoginClient:
        """The client: the origin of the request, and the address that a person opens, without its query."""
        return LoginClient(self.kind, self.request.url.origin, "" if self.login is None else self.login.url.shown)

    @property
    def login_scopes(self) -> tuple[str, ...]:
        """No scopes: a request says what it asks for in its own way."""
        return ()

    async def initial_refresh_token(self, runtime: Runtime) -> Secret | None:  # noqa: ARG002  # of the interface
        """Return None: a refresh token comes with an answer."""
        return None

    async def refresh(self, runtime: RememberingRuntime, login: Login) -> Granted:
        """Refresh the login by ``renew``."""
        if self.renew is None:
            raise LoginRefusedError("there is no renew, by which a login is refreshed")
        return await refresh_login(self, self.renew, runtime, login)

    async def probe_server(self, runtime: RememberingRuntime) -> None:
        """Ask the server's root something harmless."""
        await ask_something_harmless(self, runtime)

    async def begin_login(self, runtime: RememberingRuntime, refused: LoginRefusedError | None = None) -> Granted:
        """Begin a login by the request, which needs no person."""
        return await begin_alone(self, runtime, refused)

    @property
    def login_flows(self) -> tuple[Flow, ...]:
        """The flows: a browser, where the table has a login."""
        return () if self.login is None else ("browser",)

    async def begin_browser(self, runtime: RememberingRuntime, redirect_uri: str | None) -> BrowserLogin:
        """Begin a login in a browser."""
        assert self.login is not None  # noqa: S101  (`login_flows`)
        return await begin_in_browser(self, self.login, runtime, redirect_uri)

    async def finish_browser(self, runtime: RememberingRuntime, begun: BrowserLogin, redirected_to: str) -> Granted:
        """Send the request with what the browser has brought."""
        assert self.login is not None  # noqa: S101  (`login_flows`)
        return await finish_in_browser(self, self.login, runtime, begun, redirected_to)

    async def begin_device(self, runtime: RememberingRuntime) -> DeviceLogin:  # noqa: ARG002  # of the interface
        """Raise `RejectedError`: there is no such login."""
        raise RejectedError("there is no login on another device")

    async def poll_device(self, runtime: RememberingRuntime, begun: DeviceLogin) -> Granted | float:  # noqa: ARG002
        """Raise `RejectedError`: there is no such login."""
        raise RejectedError("there is no login on another device")

    @property
    def can_revoke(self) -> bool:
        """Whether a login can be revoked: no key says how."""
        return False

    async def revoke(self, runtime: RememberingRuntime, login: Login) -> None:  # of the interface
        """Do nothing: no key says how."""
