"""Readers of vaults, for the secrets of providers and of sinks; a token that a vault refuses is renewed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio.abc import TaskGroup

from tokend.engine.context.context import Context
from tokend.engine.policy.rate_limits import HostLimits
from tokend.engine.publishing.token_credential import renewed_after_refusal
from tokend.engine.records.store import TokenStore
from tokend.machine.clock import Clock
from tokend.machine.logs import get_logger
from tokend.machine.thread_pool import Threads
from tokend.upstream.resolver import Resolver
from tokend.values.secret import Secret
from tokend.values.tokens import Lease

if TYPE_CHECKING:
    from tokend.upstream.vault_reads import VaultReads

log = get_logger()


class VaultReaders:
    """Make readers of vaults for one daemon. ``context`` is called when a vault has refused a provider's token."""

    __slots__ = ("_clock", "_context", "_limits", "_renewing", "_resolver", "_store", "_tasks")

    def __init__(
        self,
        *,
        clock: Clock,
        resolver: Resolver,
        limits: HostLimits,
        store: TokenStore,
        tasks: TaskGroup,
        context: Callable[[], Context],
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._limits = limits
        self._store = store
        self._tasks = tasks
        self._context = context
        self._renewing: set[str] = set()

    def reader(self, threads: Threads) -> "Callable[[], VaultReads]":
        """Return the function that makes one reader, which works in ``threads``, at its first call."""
        made: list[VaultReads] = []

        def vaults() -> "VaultReads":
            if not made:
                from tokend.upstream.vault_reads import VaultReads  # few configurations name a vault

                made.append(
                    VaultReads(
                        clock=self._clock,
                        threads=threads,
                        resolver=self._resolver,
                        pauses=self._limits,
                        refused=self.refused,
                    )
                )
            return made[0]

        return vaults

    def refused(self, name: str, token: Secret) -> None:
        """Have a newer token of the provider ``name`` fetched if ``token`` is the one that it has.

        Not waited for: a newer token lets its readers make another attempt (`References`).
        """
        lease = self._store.valid_lease(name)
        if lease is not None and lease.token.value == token and name not in self._renewing:
            self._renewing.add(name)
            self._tasks.start_soon(self._renew, name, lease)

    async def _renew(self, name: str, lease: Lease) -> None:
        try:
            await renewed_after_refusal(name, lease, self._context())
        except Exception:  # a bug here must not end the daemon
            log.exception("vault.token_not_renewed", token=name)
        finally:
            self._renewing.discard(name)
