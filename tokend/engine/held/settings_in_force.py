"""The settings in force of one held provider, and what follows from them: runtime, account, connection, references."""

from tokend.engine.context.context import Context
from tokend.engine.context.references import referenced
from tokend.engine.held.remembering_runtime import RecordRuntime
from tokend.engine.policy.clock_difference import clock_warnings
from tokend.engine.records.fingerprints import Identity, connection_fingerprint, identify, rate_limited_account
from tokend.plugin.login import may_use_login
from tokend.plugin.provider import Runtime, takes_initial_token
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import TransientError, UnsafePathError
from tokend.values.status import StatusWarning


class SettingsInForce:
    """Hold the settings of the provider ``name``. A reload replaces them, also during an attempt.

    ``renewable``: credentials are configured. ``references``: the other providers whose tokens each attempt needs.
    ``account``: the account whose requests the vendor counts, or None. ``connection`` is the fingerprint of the way to
    the upstream.
    """

    __slots__ = ("_context", "_name", "account", "connection", "references", "renewable", "runtime", "settings")

    def __init__(self, name: str, settings: HeldSettings, context: Context) -> None:
        self._name = name
        self._context = context
        self.replace(settings)

    def replace(self, settings: HeldSettings) -> None:
        """Put other settings of the same kind in force."""
        digest = self._context.store.state.digest
        self.settings = settings
        # Kept: it is read whenever the refresher computes its next attempt, and a protocol check is slow.
        self.renewable = not takes_initial_token(settings) or settings.can_renew
        self.runtime: Runtime = self._context.runtime(settings)
        if may_use_login(settings) or settings.keeps_documents:
            self.runtime = RecordRuntime(self.runtime, self._name, self._context.store)
        self.references = referenced(settings)
        self.connection = connection_fingerprint(settings, digest)
        self.account = rate_limited_account(settings, digest)

    def clock_warnings(self) -> tuple[StatusWarning, ...]:
        """Warn of an upstream's clock that is far from ours, as far as a reply has shown it."""
        return clock_warnings(self.settings.upstream, self.runtime.upstream_now(), self._context.clock.instant())

    async def identify(self) -> Identity:
        """Fingerprint whose token the next one will be. Raises `SecretError`."""
        if (unsafe := self._context.unsafe.get(self._name)) is not None:
            raise UnsafePathError(unsafe.detail)
        settings, store = self.settings, self._context.store
        identity = await identify(settings, self.runtime, store.state.digest, lambda name: store.get(name).account)
        if settings is self.settings and settings.interval_is_per_account and self.account != identity.account:
            # One account may be named in two ways, by an environment variable here and a file there.
            limits, now = self._context.limits, self._context.clock.instant()
            limits.block(identity.account, now.after(limits.seconds(self.account, now)))
            self.account = identity.account
        return identity

    async def refuse_stale(self, settings: HeldSettings, identity: Identity) -> None:
        """Raise `TransientError` where the account of ``settings`` is not that of the settings in force any more."""
        if settings is not self.settings and (await self.identify()).account != identity.account:
            raise TransientError("the account was changed while its token was asked for: dropped")
