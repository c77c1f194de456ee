"""Credentials of a sink that are another provider's token: its ready headers, and a newer token after a refusal."""

from collections.abc import Mapping

from tokend.engine.context.context import Context
from tokend.engine.context.references import lacking
from tokend.engine.context.reports import UNAUTHORIZED
from tokend.values.errors import ReaderError, SinkError
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, ready_headers


class TokenCredential:
    """The present token of the provider ``name``, for the requests of one sink; ``target`` is for messages.

    ``own`` are the store's own header and what stands there before a credential, for a token that brings no headers.
    """

    __slots__ = ("_context", "_name", "_own", "_sent", "_target")

    def __init__(self, name: str, target: str, context: Context, *, own: tuple[str, str]) -> None:
        self._name = name
        self._target = target
        self._own = own
        self._context = context
        self._sent: Lease | None = None

    def headers(self) -> Mapping[str, Secret | str]:
        """Return the headers to send with a request, as readers of the token get them.

        Raises `SinkError` while the provider has no valid token.
        """
        lease, entry = self._context.store.valid_lease(self._name), self._context.engine().entries.get(self._name)
        if lease is None:
            raise SinkError(f"{self._target}: {lacking([self._name], self._context.store)}")
        self._sent = lease
        header, prefix = self._own
        own = {} if lease.token.headers else {header: Secret(prefix + lease.token.value.reveal())}
        # (`tokend check --probe` sends the token of a provider that is not running.)
        ready = ready_headers(lease.token, {}) if entry is None else entry.settings.ready_headers(lease.token)
        return {**own, **{key: Secret(value) for key, value in ready.items()}}

    async def renewed(self) -> bool:
        """Report that the store refused the token that was sent last. Return whether there is a newer one now.

        That is a report as a client makes it: it causes a refresh within the limits of readers.
        """
        return self._sent is not None and await renewed_after_refusal(self._name, self._sent, self._context)


async def renewed_after_refusal(name: str, sent: Lease, context: Context) -> bool:
    """Report that a server refused a token of the provider ``name``. Return whether there is a newer one now."""
    if (entry := context.engine().entries.get(name)) is None:
        return False
    now = context.clock.instant()
    is_signed = entry.settings.signs_here
    context.reports.record(name, sent.generation, reason=UNAUTHORIZED, uid=None, now=now, signed_here=is_signed)
    try:
        await context.engine().refresh(name, if_generation=sent.generation, reason=UNAUTHORIZED, admin=False)
    except ReaderError:
        return False
    newest = context.store.valid_lease(name)
    return newest is not None and newest.generation > sent.generation
