"""A kind of an installed package, whose token comes from a login; for the real daemon."""

import json
from typing import Annotated, Literal
from urllib.parse import urlsplit

from tokend.plugin.field_roles import Absence, Role
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.login import RememberingRuntime
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings, NetworkSettings
from tokend.values.errors import LostAnswerError, RejectedError, TransientError
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import Token


class SlowLogin(NetworkSettings, HeldSettings):
    """The refresh token is the body of the request; the answer has both tokens."""

    kind: Literal["slow-login"]
    base_url: Annotated[str, Role.UPSTREAM]
    refresh_token: Annotated[SecretField, Role.HANDLING, Absence.ALLOWED]

    @property
    def uses_login(self) -> bool:
        return True

    @property
    def login_scopes(self) -> tuple[str, ...]:
        return ()

    @property
    def login_client(self) -> LoginClient:
        return LoginClient("slow-login", self.base_url, "fake-client")

    async def initial_refresh_token(self, runtime: Runtime) -> Secret | None:
        return await runtime.reveal(self.refresh_token)

    async def refresh(self, runtime: RememberingRuntime, login: Login) -> Granted:
        assert login.refresh_token is not None
        request = UpstreamRequest("POST", self.base_url, {}, login.refresh_token.reveal_bytes())
        try:
            reply = await runtime.exchange(request)
            answer = json.loads(reply.body)
        except TransientError as error:
            if not error.is_sent:
                raise
            raise LostAnswerError(error.detail) from None
        except ValueError:
            raise LostAnswerError("no JSON") from None
        now = runtime.clock.instant()
        token = Token(Secret(answer["access_token"]), "Bearer", now, now.after(answer["expires_in"]))
        parts = urlsplit(self.base_url)
        return Granted(f"{parts.scheme}://{parts.netloc}", now, token, refresh_token=Secret(answer["refresh_token"]))

    async def probe_server(self, runtime: RememberingRuntime) -> None:
        await runtime.exchange(UpstreamRequest("GET", self.base_url, {}, b""))

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        raise RejectedError("it has a login")
