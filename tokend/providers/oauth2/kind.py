"""Kind ``oauth2``: an access token of an OAuth 2 server (docs/vendors.md has what servers do)."""

from collections.abc import Mapping

from tokend.plugin.declared.token_members import made_headers
from tokend.plugin.login import BrowserLogin, DeviceLogin, Flow, RememberingRuntime
from tokend.plugin.provider import Runtime
from tokend.plugin.vendor_words import with_words
from tokend.providers.oauth2.browser_login import begin_in_browser, finish_in_browser
from tokend.providers.oauth2.client_authentication import algorithm_of
from tokend.providers.oauth2.device_login import begin_on_device, poll_once
from tokend.providers.oauth2.discovery import Need, discovered, endpoints_of
from tokend.providers.oauth2.exchange import ask
from tokend.providers.oauth2.grants import grant_parameters
from tokend.providers.oauth2.refreshing import ask_something_harmless, refresh_login, revoke_login
from tokend.providers.oauth2.refusals import refuse
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.providers.oauth2.tokens import token_of
from tokend.signing.jwt import key_fault
from tokend.values.errors import AttemptError, LoginRefusedError
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token, shown_extra

_NEEDS: Mapping[str, Need] = {"authorization_code": "authorize", "device_code": "device"}


class OAuth2(OAuth2Settings):
    """A held token of an OAuth 2 server: by a grant without a login, or from a login."""

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:  # noqa: ARG002  (nothing to extend)
        """Ask for a token by a grant without a login."""
        if self.uses_login:
            raise LoginRefusedError(f'grant = "{self.grant}" needs a login')
        server = await endpoints_of(self, runtime)
        answered = await ask(self, runtime, server, await grant_parameters(self, runtime, server))
        answer, sent = answered.answer, answered.sent
        if answer.row is not None or not answer.is_granted:
            refuse(answer, sent)
        try:
            return token_of(self, answer, sent.host)
        except AttemptError as error:
            raise with_words(error, answer.reply, answered.secrets) from None

    def unusable_secrets(self, secrets: Mapping[str, Secret]) -> Mapping[str, str]:
        """Return the fault of a private key that cannot sign."""
        key = secrets.get("private_key")
        algorithm = None if key is None else algorithm_of(self, key)
        if key is None or algorithm is None or algorithm.startswith("HS"):
            return {}
        fault = key_fault(key, algorithm)
        return {} if fault is None else {"private_key": fault}

    async def check_server(self, runtime: Runtime) -> str | None:
        """Compare the server's metadata with the settings."""
        if self.issuer is None and self.server_url[0] != "resource":
            return None
        server = await discovered(self, runtime, _NEEDS.get(self.grant, "token"))
        return f"the metadata are of the issuer {server.issuer}, and have what the settings need"

    # -------------------------------------------------------------- for readers

    def ready_headers(self, token: Token) -> dict[str, str]:
        """Return the headers to send with each call: those that ``headers`` declares."""
        return made_headers(self.headers, token)[0]

    def shown_extra(self, token: Token) -> "Mapping[str, JSON | Secret]":
        """Return the further members of the answer: those of ``extra`` and ``secret_extra``."""
        return shown_extra(token)

    def remark_on(self, token: Token) -> str | None:
        """Return the remark on a token without an end that the server did not name."""
        if token.expires_at is not None or self.zero_means == "never" or self.answer.lifetime == "none":
            return None
        return f"{self.upstream} names no end; set answer.lifetime"

    # -------------------------------------------------------------- the login

    @property
    def login_client(self) -> LoginClient:
        """The client: the issuer or the token URL as configured, or the resource that names one, and the id."""
        server = self.issuer or self.token_url or self.server_url[1]
        return LoginClient(self.kind, server, self.client_id or "")

    @property
    def login_scopes(self) -> tuple[str, ...]:
        """The scopes that the settings ask for."""
        return self.scope

    async def initial_refresh_token(self, runtime: Runtime) -> Secret | None:
        """Return the configured refresh token."""
        return None if self.refresh_token is None else await runtime.reveal(self.refresh_token)

    async def refresh(self, runtime: RememberingRuntime, login: Login) -> Granted:
        """Exchange the refresh token."""
        return await refresh_login(self, runtime, login)

    async def probe_server(self, runtime: RememberingRuntime) -> None:
        """Ask the token endpoint something harmless."""
        await ask_something_harmless(self, runtime)

    @property
    def login_flows(self) -> tuple[Flow, ...]:
        """The flows: the grant's own, and the other one where its endpoint is written."""
        if self.grant == "authorization_code":
            return ("browser", "device") if self.device_url is not None else ("browser",)
        if self.grant == "device_code":
            return ("device", "browser") if self.authorize_url is not None else ("device",)
        return ()

    async def begin_browser(self, runtime: RememberingRuntime, redirect_uri: str | None) -> BrowserLogin:
        """Begin a login in a browser."""
        return await begin_in_browser(self, runtime, redirect_uri)

    async def finish_browser(self, runtime: RememberingRuntime, begun: BrowserLogin, redirected_to: str) -> Granted:
        """Exchange the code of the address at which the browser has ended."""
        return await finish_in_browser(self, runtime, begun, redirected_to)

    async def begin_device(self, runtime: RememberingRuntime) -> DeviceLogin:
        """Ask for a device code."""
        return await begin_on_device(self, runtime)

    async def poll_device(self, runtime: RememberingRuntime, begun: DeviceLogin) -> Granted | float:
        """Ask once whether the person has finished."""
        return await poll_once(self, runtime, begun)

    @property
    def can_revoke(self) -> bool:
        """Whether the revocation endpoint is written, or may be in the server's metadata."""
        return self.revoke_url is not None or self.issuer is not None or self.server_url[0] == "resource"

    async def revoke(self, runtime: RememberingRuntime, login: Login) -> None:
        """Revoke the refresh token."""
        await revoke_login(self, runtime, login)
