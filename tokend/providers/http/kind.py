"""Kind ``http``: a token of an API, whose request and answer the configuration declares."""

from functools import partial

from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.placeholders import Value
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.provider import Runtime
from tokend.plugin.response_status import refuse, token_value
from tokend.plugin.token_expiry import MISSING, expiry
from tokend.plugin.vendor_words import with_words
from tokend.providers.http.settings import HttpSettings
from tokend.values.errors import AttemptError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token
from tokend.values.url import host_of

# Of a busy machine: an expression takes less than half a second by itself.
EVALUATION_SECONDS = 20.0


class Http(HttpSettings):
    """A held token of an API."""

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:  # noqa: ARG002  (nothing to extend)
        """Send the request."""
        values: dict[str, Value] = {name: await runtime.reveal(one) for name, one in self.secret_table.items()}
        host = host_of(self.request.url.origin)
        reply = await runtime.exchange(self.request.make(values))
        sent = [value for value in values.values() if isinstance(value, Secret)]
        if not 200 <= reply.status < 300:
            refuse(reply, host, secrets=sent)
        try:
            return await self._read(runtime, reply, host)
        except AttemptError as error:
            raise with_words(error, reply, sent) from None

    async def _read(self, runtime: Runtime, reply: UpstreamReply, host: str) -> Token:
        try:
            return await runtime.run_in_thread(
                partial(self._token, Answer(reply, host), host), seconds=EVALUATION_SECONDS
            )
        except TimeoutError:
            raise TransientError(f"{host}: the expressions of answer were not evaluated in time") from None

    def _token(self, answer: Answer, host: str) -> Token:
        value = token_value(answer.find(self.answer.token), host)
        said = None if self.answer.expires_in is None else answer.find(self.answer.expires_in)
        ends = expiry(
            answer.reply,
            value,
            host=host,
            relative=MISSING if self.answer.expires_in is None else said,
            zero_means=self.answer.zero_means,
        )
        headers = {"Authorization": Secret(f"Bearer {value.reveal()}")}
        return Token(value, "Bearer", answer.reply.sent_at, ends, headers)
