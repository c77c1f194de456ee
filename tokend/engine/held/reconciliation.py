"""The reconciliation of one provider's record with its settings and secrets, which may change while the daemon runs.

`policy.settings_change` decides what a change means for the token, and `kept_logins` for the logins.
"""

from collections.abc import Callable

from tokend.engine.context.context import Context
from tokend.engine.held import kept_logins
from tokend.engine.held.attempt import AttemptRunner
from tokend.engine.held.provider_login import ProviderLogin
from tokend.engine.held.settings_in_force import SettingsInForce
from tokend.engine.policy.settings_change import reconcile
from tokend.engine.records.fingerprints import Identity, connection_fingerprint, request_fingerprint
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.values.errors import SecretError, WaitingError
from tokend.values.status import Failure

log = get_logger()


class Reconciliation:
    """Reconcile the record of the provider ``name``: withdraw the token, want an attempt, or leave `Rejected`."""

    __slots__ = (
        "_attempts",
        "_context",
        "_in_force",
        "_login",
        "_name",
        "_store",
        "_was_readable",
        "has_been_made",
        "is_wanted",
        "unreadable",
    )

    def __init__(
        self,
        name: str,
        in_force: SettingsInForce,
        login: ProviderLogin | None,
        attempts: AttemptRunner,
        context: Context,
    ) -> None:
        self._name = name
        self._in_force = in_force
        self._login = login
        self._attempts = attempts
        self._context = context
        self._store = context.store
        self._was_readable = False  # the secrets, since the start
        # Why they could not be read since then: a token from the state is served, and could not be refreshed.
        self.unreadable: Failure | None = None
        self.is_wanted = True
        # Whether it was made since the start: what an earlier process gave up may be possible by now.
        self.has_been_made = False

    def is_due(self) -> bool:
        """Return whether settings or secrets have changed, or a login that was set aside has to be dropped."""
        return self.is_wanted or self._store.get(self._name).login.has_over(self._context.clock.instant())

    async def make(self, want_attempt: Callable[[], None]) -> None:
        """Reconcile. ``want_attempt`` is called where an attempt is to be made as soon as one may be."""
        self.is_wanted = False
        was_readable, identity = self._was_readable, await self._identify()
        if await kept_logins.reconcile(self._name, self._login, self._context):
            want_attempt()
        wanted = await self._reconcile_token(identity)
        if not self._in_force.renewable:
            if was_readable:
                await self._attempts.use_initial_token()  # the settings may bring another one now
            wanted = wanted and self._store.valid_lease(self._name) is None
        if wanted:
            want_attempt()
        if not self.has_been_made:
            self._note_first()

    def secrets_were_read(self) -> None:
        """Note that the secrets can be read."""
        self._was_readable = True
        if self.unreadable is not None:
            self.unreadable = None
            self._store.touch(self._name)

    async def _identify(self) -> Identity | None:
        try:
            async with self._context.reconciling:
                identity = await self._in_force.identify()
        except SecretError as error:
            if not self._was_readable and not isinstance(error, WaitingError):
                self.unreadable = Failure(error.reason, error.detail, self._context.clock.instant().wall)
                self._store.touch(self._name)
            return None
        self.secrets_were_read()
        return identity

    async def _reconcile_token(self, identity: Identity | None) -> bool:
        """Withdraw a token that the settings do not allow any more. Returns whether they want an attempt."""
        settings, before = self._in_force.settings, self._store.get(self._name)
        request = request_fingerprint(settings, self._store.state.digest)
        connection = connection_fingerprint(settings, self._store.state.digest)

        def reconciled(record: Record) -> tuple[Record, bool]:
            return reconcile(record, settings, request=request, connection=connection, identity=identity)

        after, wanted = reconciled(before)
        if after != before:
            await self._store.update(self._name, lambda record: reconciled(record)[0])
        if before.lease is not None and after.lease is None:
            log.info(
                "token.withdrawn", token=self._name, detail="the account changed: the token held is the old account's"
            )
        return wanted

    def _note_first(self) -> None:
        self.has_been_made = True
        record = self._store.get(self._name)
        if record.rejected or record.requires_login or not self._in_force.renewable:
            self._store.touch(self._name)  # a single run looks again: there may be nothing to wait for
