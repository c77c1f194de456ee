"""Kind ``oauth2``: an access token of an OAuth 2 server (docs/vendors.md has what servers do)."""

from collections.abc import Mapping

from tokend.plugin.provider import Runtime
from tokend.plugin.vendor_words import with_words
from tokend.providers.oauth2.discovery import endpoints_of
from tokend.providers.oauth2.exchange import ask
from tokend.providers.oauth2.grants import grant_parameters
from tokend.providers.oauth2.refusals import refuse
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.providers.oauth2.tokens import made_headers, token_of
from tokend.values.errors import AttemptError, LoginRefusedError
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token, shown_extra


class OAuth2(OAuth2Settings):
    """A held token of an OAuth 2 server."""

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
            raise with_words(error, answer.reply, sent.secrets) from None

    def ready_headers(self, token: Token) -> dict[str, str]:
        """Return the headers to send with each call: those that ``headers`` declares."""
        return made_headers(self.headers, token)[0]

    def shown_extra(self, token: Token) -> "Mapping[str, JSON | Secret]":
        """Return the further members of the answer: those of ``extra`` and ``secret_extra``."""
        return shown_extra(token)

    def remark_on(self, token: Token) -> str | None:
        """Return the remark on a token without an end that the server did not name."""
        if token.expires_at is not None or self.zero_means == "never":
            return None
        return f"{self.upstream} names no end; set answer.lifetime"
