"""Kind ``http``: a token of an API, whose requests and answers the configuration declares."""

from collections.abc import Mapping

from tokend.plugin.declared.token_members import made_headers
from tokend.plugin.provider import Runtime
from tokend.plugin.vendor_words import with_words
from tokend.providers.http.exchange import ask
from tokend.providers.http.refusals import raise_refusal
from tokend.providers.http.renewing import renewed
from tokend.providers.http.settings import HttpSettings
from tokend.providers.http.tokens import token_of
from tokend.values.errors import AttemptError
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token, shown_extra


class Http(HttpSettings):
    """A held token of an API."""

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Renew the token held, if that is declared; send the request where there is none, or it is refused."""
        if self.renew is not None and previous is not None:
            token = await renewed(self, runtime, self.renew, previous)
            if token is not None:
                return token
        answered = await ask(self, runtime, self.request, {}, previous)
        if not answered.found.is_granted:
            raise_refusal(answered)
        try:
            return token_of(self, answered, previous)
        except AttemptError as error:
            raise with_words(error, answered.found.reply, answered.sent.secrets) from None

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
