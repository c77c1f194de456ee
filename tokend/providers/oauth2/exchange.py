"""One exchange with an endpoint: the client's proof, the request, and the answer, looked into."""

from dataclasses import dataclass

from tokend.plugin.declared.token_members import found_secrets
from tokend.plugin.provider import Runtime
from tokend.providers.oauth2.answers import Answer, read_answer
from tokend.providers.oauth2.client_authentication import prove_client
from tokend.providers.oauth2.declared_answer import RequestSettings
from tokend.providers.oauth2.endpoints import Endpoints
from tokend.providers.oauth2.grants import GrantParameters
from tokend.providers.oauth2.refusals import Exchange
from tokend.providers.oauth2.requests import make_request
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.values.errors import LostAnswerError, TransientError
from tokend.values.secret import Secret
from tokend.values.url import host_of


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and what was sent for it."""

    answer: Answer
    sent: Exchange

    @property
    def secrets(self) -> tuple[Secret, ...] | None:
        """The secrets of both, for the mask of the server's words; None if they are too many."""
        brought = found_secrets(self.answer.values, self.answer.secret_extra)
        return None if brought is None else (*self.sent.secrets, *brought)


async def ask(
    settings: OAuth2Settings,
    runtime: Runtime,
    server: Endpoints,
    own: GrantParameters,
    *,
    url: str | None = None,
    is_of_login: bool = False,
    may_spend: bool = False,
    is_begun: bool = False,
) -> Answered:
    """Send parameters to an endpoint, by default that for tokens, with the client's proof.

    Other endpoints get a form (RFC 7009, 8628, 9126). See `Exchange` for what the flags say.

    Raises `SecretError`; `LostAnswerError` where something was sent that the server may have spent, and no complete
    answer came.
    """
    url = server.token_url if url is None else url
    proof = await prove_client(settings, runtime, server)
    # Parameters that are written count before ours, but not before the proof.
    parameters = {**own.parameters, **proof.parameters}
    if "client_id" in own.parameters:
        parameters["client_id"] = own.parameters["client_id"]
    signed_at = proof.signed_at if own.signed_at is None else own.signed_at
    sent = Exchange(host_of(url), (*own.secrets, *proof.secrets), is_of_login, signed_at, may_spend, is_begun)
    form = settings.request if url == server.token_url else RequestSettings(headers=settings.request.headers)
    request = make_request(url, parameters, proof.headers, form)
    try:
        reply = await runtime.exchange(request)
        return Answered(await read_answer(reply, runtime, settings.answer, settings.errors, sent.host), sent)
    except TransientError as error:
        if may_spend and error.is_sent:
            raise LostAnswerError(
                error.detail, retry_after=error.retry_after, repeatable=error.repeatable, is_answered=error.is_answered
            ) from None
        raise
