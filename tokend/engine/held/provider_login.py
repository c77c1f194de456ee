"""The login of one provider: refreshed for a token, followed in its file, replaced by a person's.

`login_exchange` keeps the login through each exchange. `kept_logins` has what also concerns kinds without a login.
"""

from typing import TYPE_CHECKING, cast

from tokend.engine.context.context import Context
from tokend.engine.held.attempt_outcomes import AttemptOutcomes
from tokend.engine.held.login_exchange import LoginExchange
from tokend.engine.held.login_saving import Change
from tokend.engine.held.settings_in_force import SettingsInForce
from tokend.engine.policy.login_change import InitialToken
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.login import RememberingRuntime, WithLogin, uses_login
from tokend.plugin.provider import Runtime
from tokend.plugin.settings import HeldSettings
from tokend.plugin.token_check import check_token
from tokend.values.errors import AttemptError, SecretError, StoreError, TransientError
from tokend.values.instant import Instant
from tokend.values.logins import Granted, LoginClient
from tokend.values.tokens import Token

if TYPE_CHECKING:
    from tokend.engine.held.shared_login_file import SharedLoginFile

# Of the digest of an initial refresh token.
INITIAL = "initial refresh token"

log = get_logger()


class ProviderLogin:
    """Use the login of the provider ``name``, whose kind may use one. `exchange` is public: it must not be cut."""

    __slots__ = ("_clock", "_in_force", "_name", "_outcomes", "_store", "exchange")

    def __init__(self, name: str, in_force: SettingsInForce, outcomes: AttemptOutcomes, context: Context) -> None:
        self._name = name
        self._in_force = in_force
        self._outcomes = outcomes
        self._clock = context.clock
        self._store = context.store
        self.exchange = LoginExchange(name, context)
        self.settings_replaced()

    def settings_replaced(self) -> None:
        """Keep the login where the settings in force say. An exchange under way ends where it has begun."""
        self.exchange.keep_in(cast(WithLogin, self._in_force.settings))

    @property
    def settings(self) -> HeldSettings:
        """The settings in force."""
        return self._in_force.settings

    @property
    def runtime(self) -> RememberingRuntime:
        """The runtime of exchanges under the settings in force."""
        return cast(RememberingRuntime, self._in_force.runtime)

    @property
    def client(self) -> LoginClient | None:
        """The client of the settings' login; None where they use none."""
        settings = self.settings
        return settings.login_client if uses_login(settings) else None

    async def initial_refresh_token(self) -> InitialToken | None:
        """Read the configured refresh token. None where there is none, or where it cannot be read."""
        settings = self.settings
        if not uses_login(settings):
            return None
        try:
            with exits_refused():
                token = await settings.initial_refresh_token(self.runtime)
        except SecretError as error:
            if self._store.get(self._name).login.login is None:
                log.warning("login.not_begun", token=self._name, reason=error.reason, detail=error.detail)
            return None
        if not token:
            return None
        return InitialToken(token, self._store.state.digest_for(INITIAL, token.reveal_bytes()))

    async def refresh(self, settings: WithLogin, runtime: Runtime, identity: Identity, *, started: Instant) -> None:
        """Get a token by a refresh of the login, and save both; the login also where its token cannot be used.

        ``started`` is when the attempt began.
        """
        before = self._store.get(self._name).generation
        arrived: list[Token] = []

        async def use(granted: Granted) -> Change:
            token = _usable(granted)
            await self._in_force.refuse_stale(cast(HeldSettings, settings), identity)
            arrived.append(token)
            return self._outcomes.with_token(token, identity)

        initial = await self._initial_of_file()
        remembering = cast(RememberingRuntime, runtime)
        record, is_adopted = await self.exchange.exchange(settings, remembering, use, initial=initial)
        if is_adopted:
            self._outcomes.adopted(record)
        else:
            self._outcomes.succeeded(arrived[0], record, before=before, started=started)

    async def _initial_of_file(self) -> InitialToken | None:
        """Read the configured refresh token for a login file, which may have none yet."""
        return None if self.exchange.file is None else await self.initial_refresh_token()

    async def remember_notices(self, change: Change) -> None:
        """Remember notices about the login, as ``change`` says, where it is kept.

        Raises `StoreError` where its file cannot be used or written.
        """
        await self.exchange.remember_notices(change, await self._initial_of_file())

    async def follow(self, file: "SharedLoginFile") -> bool:
        """Show what the login file says by now, and use the token that another daemon has got, without a request.

        Returns whether an attempt is wanted: there is a login, and no valid token of it.
        """
        before, started = self._store.get(self._name), self._clock.instant()
        had_trouble, initial = file.trouble is not None, await self.initial_refresh_token()
        try:
            after = await file.read(initial)
        except StoreError:
            return False  # noted; the attempt says so, too
        if (token := file.newer_token()) is not None:
            try:
                change = self._outcomes.with_token(token, await self._in_force.identify())
                self._outcomes.adopted(await self._store.update(self._name, change))
            except AttemptError as error:
                log.warning("login.not_adopted", token=self._name, reason=error.reason, detail=error.detail)
            return False
        if after.login.login is None or after.requires_login:
            return False
        is_new = had_trouble or after.login.login != before.login.login
        is_first = initial is not None and after.login.login.origin is None and is_new
        lease = after.lease
        return is_first or (is_new and (lease is None or not lease.token.is_valid(started)))

    async def accept(self, granted: Granted, *, another_account: bool) -> bool:
        """Save and publish a login that a person has begun, with its token; the login also without it.

        ``another_account``: the token held is the account's before. Returns whether the token was saved, too; where it
        was not, an attempt must bring one. Raises `StoreError` where nothing was kept.
        """
        settings, started, logouts = self.settings, self._clock.instant(), self.exchange.guard.logouts
        before = self._store.get(self._name).generation
        arrived: list[Token] = []

        async def use(granted: Granted) -> Change:
            token = _usable(granted)
            arrived.append(token)
            return self._outcomes.with_token(token, await self._in_force.identify())

        if not uses_login(settings):
            raise StoreError(f"{self._name}: its settings use no login any more")
        try:
            initial, client = await self.initial_refresh_token(), settings.login_client
            if another_account:
                await self._store.update(self._name, Record.without_token)
            record = await self.exchange.accept(
                granted, client, initial, use, logouts=logouts, another_account=another_account
            )
        except AttemptError as error:
            log.warning("login.without_token", token=self._name, reason=error.reason, detail=error.detail)
            return False
        self._outcomes.succeeded(arrived[0], record, before=before, started=started)
        return True


def _usable(granted: Granted) -> Token:
    """Return the token of an answer that grants. Raises `AttemptError` where there is none that can be used."""
    if granted.token is None:
        raise granted.fault or TransientError("the answer has no token")
    check_token(granted.token)
    return granted.token
