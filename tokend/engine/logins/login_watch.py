"""`LoginWatch`: looks at the logins of all providers, and gives persons notice of what only they can do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tokend.engine.context.context import Context
from tokend.engine.logins.login_holder import LoginHolder
from tokend.engine.policy.login_advice import login_advice
from tokend.engine.policy.login_notices import DueNotice, due_notice, next_notice_at
from tokend.engine.records.login_record import NO_LOGINS
from tokend.engine.records.record import Record
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.login import needs_persons_login
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.login_advice import LoginAdvice
from tokend.values.tokens import utc

MINUTE, HOUR, DAY = 60, 3600, 86400

log = get_logger()


@dataclass(frozen=True, slots=True)
class LoginNotice:
    """A notice about the login of the token ``name``: it ends at ``ends_at``, or (None) another one is required.

    ``command`` is what a person has to run, None where it is no command; ``detail`` is the whole sentence.
    """

    name: str
    detail: str
    command: str | None
    ends_at: Instant | None


class LoginWatch:
    """Watch the logins of the ``providers`` that run now. A notice is remembered before it is given: it comes once."""

    def __init__(self, context: Context, providers: Mapping[str, Any]) -> None:
        self._clock = context.clock
        self._store = context.store
        self._providers = providers
        self._callbacks: list[Callable[[LoginNotice], None]] = []
        self._next: dict[str, Instant] = {}
        self._changed: set[str] = set()
        self._wake = Event()
        context.store.subscribe(self._note)

    def subscribe(self, callback: Callable[[LoginNotice], None]) -> None:
        """Call ``callback`` with each notice, once it is remembered."""
        self._callbacks.append(callback)

    async def run(self) -> None:
        """Give notices until cancelled."""
        self._changed.update(name for name, record in self._store.records.items() if record.login != NO_LOGINS)
        while True:
            self._wake = Event()
            changed, self._changed = self._changed, set()
            now = self._clock.instant()
            due = {name for name, moment in self._next.items() if now.until(moment) <= 0}
            for name in sorted(changed | due):
                await self._look(name)
            upcoming = min(self._next.values(), key=lambda one: one.boot, default=None)
            await self._clock.wait(upcoming, self._wake)

    async def _look(self, name: str) -> None:
        self._next.pop(name, None)
        provider = self._providers.get(name)
        if (
            provider is None
            or not isinstance(provider.settings, HeldSettings)
            or not needs_persons_login(provider.settings)
        ):
            return
        now = self._clock.instant()
        if due_notice(self._store.get(name).login, now) is not None:
            advice = login_advice(name, cast(HeldSettings, provider.settings))
            for notice in await self._remembered(name, provider, now):
                self._give(name, notice.ends_at, now, advice)
        if (upcoming := next_notice_at(self._store.get(name).login, now)) is not None:
            self._next[name] = upcoming

    async def _remembered(self, name: str, holder: LoginHolder, now: Instant) -> list[DueNotice]:
        """Remember the notice that is due, and return it; none where the login is another by then, or another daemon
        has given it. What cannot be written to a login file is remembered in the record."""
        due: list[DueNotice] = []

        def noted(record: Record) -> Record:
            if (notice := due_notice(record.login, now)) is None:
                return record
            due[:] = [notice]
            return record.with_notices(notice.notices)

        try:
            await holder.remember_notices(noted)
        except StoreError:
            due.clear()
            await self._store.update(name, noted)
        return due

    def _give(self, name: str, ends_at: Instant | None, now: Instant, advice: LoginAdvice) -> None:
        if ends_at is None:
            detail = f"only a person can bring another token: {advice.remedy}"
            log.warning("login.required", token=name, advice=advice.to_do)
        else:
            detail = f"the login ends in {_in_words(now.until(ends_at))}, at {utc(ends_at.wall)}: {advice.remedy}"
            log.warning("login.ends_soon", token=name, ends_at=utc(ends_at.wall), advice=advice.to_do)
        for callback in self._callbacks:
            callback(LoginNotice(name, detail, advice.command, ends_at))

    def _note(self, name: str) -> None:
        record = self._store.records.get(name)
        # Called at each change of every token: most have no login.
        if record is not None and (record.login != NO_LOGINS or name in self._next):
            self._changed.add(name)
            self._wake.set()


def _in_words(seconds: float) -> str:
    """Say a duration in its largest unit, as in "3 days"."""
    for size, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds >= 0.99 * size:  # steps are whole units; a notice comes a moment after its step
            number = round(seconds / size)
            return f"{number} {word}{'s' * (number != 1)}"
    return "less than a minute"
