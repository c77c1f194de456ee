"""On-demand tokens: one upstream call per query, and the few repeats that a query may cost.

Nothing is prefetched or cached. Only what binds the next query is persisted: rejected credentials, refusals, and a
pause that the host asked for. `policy.failure` has the meaning of each failure.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio

from tokend.engine.context.context import Context
from tokend.engine.context.references import lacking, referenced
from tokend.engine.on_demand.callers import Callers
from tokend.engine.on_demand.own_record import OwnRecord
from tokend.engine.policy import probes
from tokend.engine.policy.failure import (
    Meaning,
    Repeat,
    after_failed_call,
    in_another_way,
    meaning_of,
    rejected_on_demand,
    resumed,
    with_refusals,
    without_failures,
)
from tokend.engine.records.fingerprints import identify, request_fingerprint
from tokend.engine.records.record import Record
from tokend.engine.records.rename import emptied, is_blank
from tokend.machine.lock import Lock
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.provider import Issuer
from tokend.plugin.settings import OnDemandSettings
from tokend.plugin.token_check import check_token
from tokend.plugin.vendor_words import without_values
from tokend.values.errors import (
    AttemptError,
    InvalidParametersError,
    LoginRequiredError,
    NotSupportedError,
    ReaderError,
    SecretError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)
from tokend.values.instant import Instant
from tokend.values.status import State
from tokend.values.tokens import Token

# After a timeout or 5xx: up to two more calls, this much later.
REPEAT_SECONDS = (0.5, 1.0)
# A call may take the whole ``timeout``. It is repeated only where at least this is left of it: each call may have had
# its effect, so none is made that is unlikely to be answered.
SHORTEST_REPEAT_SECONDS = 1.0
MOST_CALLS = 1 + len(REPEAT_SECONDS)

log = get_logger()


class TokenIssuer:
    """Issue one provider's tokens. Calls may run side by side; each is one query's."""

    __slots__ = ("_accepted", "_context", "_record", "_references", "_trial", "callers", "name", "runtime", "settings")

    def __init__(self, name: str, settings: OnDemandSettings, context: Context) -> None:
        self.name = name
        self.settings = settings
        # The other providers whose tokens each call needs: looked up once, not at each query.
        self._references = referenced(settings)
        self._context = context
        self.runtime = context.runtime(settings)
        self._record = OwnRecord(name, context.store)
        self._accepted = False  # the upstream accepted these credentials the last time
        self._trial = Lock()
        self.callers = Callers(name, context)

    @property
    def record(self) -> Record:
        """The current record. It holds no token."""
        return self._record.now

    def stop(self) -> None:
        """Leave the record to the next provider of the name. Calls under way go on."""
        self._record.leave()

    @property
    def state(self) -> State:
        """``rejected`` after two refusals in a row, ``pending`` while its record cannot be opened, else
        ``on_demand``."""
        if self._context.store.unopened(self.name) is not None:
            return State.PENDING
        return State.REJECTED if self.record.rejected else State.ON_DEMAND

    async def reconfigure(self, settings: OnDemandSettings) -> None:
        """Apply new settings."""
        old, self.settings = self.settings, settings
        self._references = referenced(settings)
        self.runtime = self._context.runtime(settings)
        if not settings.has_connection_of(old):
            self.connection_changed()
        elif self._request_of(old) != self._request_of(settings) and not self.record.rejected:
            self._record.show(lambda record: without_failures(record, 0))
        await self.reconsider()

    def connection_changed(self) -> None:
        """Leave `Rejected`: another way to the upstream (a proxy, a certificate) may be what was missing."""
        if self.record.failures or self.record.rejected:
            self._record.show(in_another_way)

    def _request_of(self, settings: OnDemandSettings) -> str:
        return request_fingerprint(settings, self._context.store.state.digest)

    async def reconsider(self) -> None:
        """Leave `Rejected` if settings or secrets are no longer those that were rejected."""
        rejected = self.record.attempts.rejected_secrets
        if rejected is None:
            return
        secrets = await self._secrets()
        if secrets is not None and secrets != rejected:
            await self._record.update(emptied)

    async def resume(self) -> None:
        """Let the next query try rejected credentials again. Raises `NotSupportedError` if they are not rejected."""
        if not self.record.rejected:
            raise NotSupportedError(
                f"{self.name} is issued on demand and never refreshed; its credentials are not rejected: "
                f"POST /v1/tokens/{self.name}/issue"
            )
        await self._record.update(resumed)

    async def issue(self, parameters: Mapping[str, str], uid: int) -> Token:
        """Issue one token for a caller's ``uid``.

        Raises `InvalidParametersError` (locally known ones without a call), `LoginRequiredError` while rejected,
        `ThrottledError` beyond ``issue_rate`` or while the host asked for a pause, `TokenUnavailableError` where no
        token came.
        """
        issuer = _as_issuer(self.settings)
        with exits_refused():
            issuer.check(parameters)
        deadline = self._context.clock.instant().after(self.settings.timeout.total_seconds())
        self._refuse_unsent()
        self.callers.count(self.settings, uid)
        async with self._trial_of_credentials():
            self._refuse_unsent()
            token = await self._issue(issuer, parameters, deadline, uid)
            self._accepted = True
        self._context.counters.refreshed(self.name, "success")
        self.callers.issued(uid)
        return token

    @asynccontextmanager
    async def _trial_of_credentials(self) -> AsyncIterator[None]:
        """Let one query at a time try credentials that are not known to work.

        Ten queries at once would send a wrong secret ten times before the first refusal arrives.
        """
        held = False
        if not self._accepted and self.settings.upstream is not None:
            try:
                with anyio.fail_after(self.settings.timeout.total_seconds()):
                    await self._trial.acquire()
            except TimeoutError:
                raise TokenUnavailableError(f"{self.name}: an earlier query has not been answered yet") from None
            held = not self._accepted
            if not held:
                self._trial.release()
        try:
            yield
        finally:
            if held:
                self._trial.release()

    async def _issue(self, issuer: Issuer, parameters: Mapping[str, str], deadline: Instant, uid: int) -> Token:
        """Issue a token; store a failure and raise it as a `ReaderError`."""
        calls = MOST_CALLS
        if self.record.rejected:
            # A probe. Saved before it is sent: a restart is no way around the pauses.
            calls, now = 1, self._context.clock.instant()
            await self._record.update(lambda record: probes.probing(record, now))
        try:
            token = await self._within_timeout(issuer, parameters, deadline, calls)
        except InvalidParametersError as error:
            if not error.is_sent:
                raise
            # The vendor read the fields: it had accepted the credentials.
            self._accepted = True
            if self.record.rejected:
                await self._record.update(emptied)
            else:
                self._record.show(lambda record: with_refusals(record, 0))
            raise
        except AttemptError as error:
            raise await self._failed(error, parameters, uid) from None
        if not is_blank(self.record):
            await self._record.update(emptied)
        return token

    async def _within_timeout(
        self, issuer: Issuer, parameters: Mapping[str, str], deadline: Instant, calls_left: int
    ) -> Token:
        """Make the call, and repeat it where its failure allows that, all before ``deadline``."""
        clock = self._context.clock
        pauses, clock_learned = list(REPEAT_SECONDS), False
        while True:
            calls_left -= 1
            try:
                return await self._call(issuer, parameters, seconds=clock.instant().until(deadline))
            except AttemptError as error:
                meaning = meaning_of(error)
                if clock_learned and meaning.is_refusal:
                    # The clock did not explain the first refusal: these are two in a row.
                    self._record.show(lambda record: with_refusals(record, record.attempts.failures.refusals + 1))
                left = clock.instant().until(deadline)
                if not calls_left:
                    raise
                if meaning.repeat is Repeat.AFTER_A_PAUSE and pauses and left >= pauses[0] + SHORTEST_REPEAT_SECONDS:
                    await clock.sleep(pauses.pop(0))
                elif not clock_learned and self._is_worth_the_learned_clock(meaning):
                    clock_learned = True
                else:
                    raise

    def _is_worth_the_learned_clock(self, meaning: Meaning) -> bool:
        """Return whether a refusal may be due to our clock, and is not the one that rejects the credentials.

        The refusal is not counted yet: queries side by side may all meet the same wrong clock once.
        """
        if meaning.repeat is not Repeat.WITH_THE_LEARNED_CLOCK or meaning.rejects_at is None:
            return False
        return self.record.attempts.failures.refusals + 1 < meaning.rejects_at.on_demand

    async def _call(self, issuer: Issuer, parameters: Mapping[str, str], *, seconds: float) -> Token:
        try:
            with anyio.fail_after(seconds), exits_refused():
                token = await issuer.issue(self.runtime, parameters)
        except TimeoutError:
            raise TransientError(f"the upstream did not answer within {seconds:.1f} s", repeatable=True) from None
        check_token(token)
        return token

    async def _failed(self, error: AttemptError, parameters: Mapping[str, str], uid: int) -> ReaderError:
        """Store, count and log a failure; return the reader's error. What binds the next query is saved."""
        kept = without_values(error, parameters)
        now, meaning = self._context.clock.instant(), meaning_of(error)
        host = self.settings.upstream
        self._context.counters.failed(self.name, error.reason)
        self.callers.failed(uid, error)
        # At once: queries side by side count from here.
        self._record.show(lambda record: after_failed_call(record, kept, now=now, host=host))
        if meaning.is_refusal:
            self._accepted = False
            secrets = await self._secrets()
            record = await self._record.update(
                lambda record: rejected_on_demand(record, kept, now=now, secrets=secrets)
            )
            if record.rejected:
                advice = f"fix the credentials, or run `tokend refresh {self.name}`"
                log.warning("token.rejected", token=self.name, detail=error.detail, advice=advice)
        pause = self.record.host_pause
        if meaning.pauses_host and pause is not None:
            self._context.limits.block(pause.host, pause.until, by=self.name)
            await self._record.update(lambda record: record)
            return ThrottledError(f"{self.name}: {error.whole}", retry_at=pause.until.wall.timestamp())
        if self.record.rejected:
            return self._rejected(error.whole)
        return TokenUnavailableError(f"{self.name}: {error.whole}")

    async def _secrets(self) -> str | None:
        """Fingerprint what is presented; None if it cannot be read any more: then it has changed."""
        try:
            store = self._context.store
            accounts = lambda name: store.get(name).account  # noqa: E731
            return (await identify(self.settings, self.runtime, store.state.digest, accounts)).secrets
        except SecretError:
            return None

    def _refuse_unsent(self) -> None:
        """Raise where no call may be made now."""
        if (unsafe := self._context.unsafe.get(self.name)) is not None:
            raise TokenUnavailableError(f"{self.name}: {unsafe.detail}")
        if (unopened := self._context.store.unopened(self.name)) is not None:
            raise TokenUnavailableError(f"{self.name}: {unopened}")
        if (waits := lacking(self._references, self._context.store)) is not None:
            raise TokenUnavailableError(f"{self.name}: {waits}")
        now = self._context.clock.instant()
        if self.record.rejected and not probes.is_due(self.record, now):
            # Without the upstream's words: they may be about another caller's parameters.
            known = self.record.last_error
            raise self._rejected("the credentials were rejected" if known is None else known.detail)
        if (pause := self._context.limits.seconds(self.settings.upstream, now)) > 0:
            raise ThrottledError(
                f"{self.name}: the upstream asked for a pause of {pause:.0f} more seconds",
                retry_at=now.after(pause).wall.timestamp(),
            )

    def _rejected(self, detail: str) -> LoginRequiredError:
        """Make the error for a query while the credentials are rejected: why, and when a query is sent again."""
        at = probes.next_probe(self.record, self._context.clock.instant())
        when = "now" if at is None else f"at {at.wall:%H:%M:%S} UTC"
        text = f"{self.name}: {detail}; the next query is sent {when}, or after `tokend refresh {self.name}`"
        return LoginRequiredError(text, retry_at=None if at is None else at.wall.timestamp())


def _as_issuer(settings: OnDemandSettings) -> Issuer:
    if not isinstance(settings, Issuer):
        raise TypeError(f"kind {settings.kind} is no Issuer")
    return settings
