"""Renewing the token held: a request that is made first, and what its answer means."""

from tokend.plugin.provider import Runtime
from tokend.providers.http.exchange import ask
from tokend.providers.http.names import held_values
from tokend.providers.http.refusals import raise_unless_refused, refuses_credentials
from tokend.providers.http.settings import HttpSettings, RenewSettings
from tokend.providers.http.tokens import renewed_token
from tokend.values.errors import RejectedError, TransientError
from tokend.values.tokens import Token


async def renewed(settings: HttpSettings, runtime: Runtime, renew: RenewSettings, previous: Token) -> Token | None:
    """Renew a token. None where the server refused, or its answer is unusable: then the full request is due.

    Raises the error of no answer, of 429 and 5xx: the full request would be one more to the same host. Raises
    `RejectedError` where the server refused the credentials: the full request is due, and is the last one they get.
    """
    held = held_values(settings.answer, previous)
    if any(name.startswith("extra.") and held[name] in {None, ""} for name in renew.url.names):
        return None  # the settings have changed: the token held has no such member, and the URL needs it
    answered = await ask(settings, runtime, renew, held, previous)
    raise_unless_refused(answered)
    found = answered.found
    if not found.is_granted and refuses_credentials(answered):
        raise RejectedError(f"{answered.sent.host} answered {found.reply.status}: renew is refused")
    if not found.is_granted or (found.values["token"] is None and not renew.token_optional):
        return None
    try:
        return renewed_token(settings, answered, previous)
    except TransientError:
        return None
