"""A hand-made engine for the socket server: what it holds is set by the test, what it is asked is recorded."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.api.fake_logins import FakeLogins
from tokend.engine.context.contract import ReloadAnswer
from tokend.machine.event import Event
from tokend.plugin.request_signing import CallToSign
from tokend.plugin.settings import Access, HeldSettings, OnDemandSettings, ProviderSettings
from tokend.values.errors import UnknownTokenError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import ProviderStatus, SinkStatus, State
from tokend.values.tokens import Lease, Token

START = Instant(datetime(2025, 1, 1, tzinfo=UTC), 1000.0)
RAW = "fake-token-for-tests"


class FakeHeld(HeldSettings):
    """A held kind without anything of its own."""

    kind: str = "fake"


class FakeOnDemand(OnDemandSettings):
    """An on-demand kind without anything of its own."""

    kind: str = "fake-on-demand"


class StillClock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = START

    def instant(self) -> Instant:
        return self.now

    async def wait(self, until: Instant | None, wake: Event, *, ends: Instant | None = None) -> None:
        raise AssertionError("the socket server must not wait on the engine's clock")

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the socket server must not sleep on the engine's clock")


@dataclass
class FakeEntry:
    """One provider; tests replace its fields."""

    name: str
    settings: ProviderSettings
    clock: StillClock
    lease: Lease | None = None
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def is_on_demand(self) -> bool:
        return isinstance(self.settings, OnDemandSettings)

    def status(self) -> ProviderStatus:
        lease, now = self.lease, self.clock.instant()
        valid = lease is not None and lease.token.is_valid(now)
        end = lease.token.expires_at if lease else None
        known: dict[str, Any] = {
            "name": self.name,
            "kind": self.settings.kind,
            "state": State.ON_DEMAND
            if isinstance(self.settings, OnDemandSettings)
            else State.VALID
            if valid
            else State.PENDING,
            "valid": valid,
            "expires_at": end and end.wall,
            "refresh_at": lease.refresh_at and lease.refresh_at.wall if lease else None,
            "generation": lease and lease.generation,
            "fingerprint": lease and lease.fingerprint,
            "required": self.settings.required,
            "seconds_left": max(0.0, now.until(end)) if end else None,
            "failures": 0,
            "last_error": None,
            "next_attempt_at": None,
            "sinks": (),
        }
        return ProviderStatus(**{**known, **self.changes})


class FakeEngine:
    """Implements `tokend.interfaces.Engine`; ``calls`` is what was asked, ``raises`` the next call's error."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.entries: dict[str, FakeEntry] = {}
        self.ready = True
        self.calls: list[tuple[Any, ...]] = []
        self.raises: BaseException | None = None
        self.uid: int | None = None  # of the last issue
        self.gate: asyncio.Event | None = None
        self.subscribers: list[Callable[[str], None]] = []
        self.issued = Token(Secret("fake-issued"), "Bearer", START, START.after(60))
        self.plan: Sequence[Mapping[str, str]] = ()
        self.restart_needed: tuple[str, ...] = ()
        self.logins = FakeLogins(self._asked, self.clock.instant)

    def hold(self, name: str = "demo", *, generation: int = 17, value: str = RAW, **settings: Any) -> FakeEntry:
        """Let the engine hold a token valid for an hour."""
        entry = self.entries.setdefault(name, FakeEntry(name, FakeHeld(**settings), self.clock))
        now = self.clock.instant()
        headers = {"Authorization": Secret(f"Bearer {value}")}
        token = Token(Secret(value), "Bearer", now, now.after(3600), headers)
        entry.lease = Lease(name, token, generation, now.after(3000), "0123456789ab")
        return entry

    def offer(self, name: str = "wallet", *, access: Access | None = None) -> FakeEntry:
        """Let the engine have an on-demand kind."""
        entry = self.entries[name] = FakeEntry(name, FakeOnDemand(access=access), self.clock)
        return entry

    def announce(self, name: str) -> None:
        """Notify subscribers of a changed token."""
        for callback in list(self.subscribers):
            callback(name)

    def renew(self, name: str = "demo", **changes: Any) -> None:
        """Hold another token, as `hold` does, and notify subscribers."""
        self.hold(name, **changes)
        self.announce(name)

    async def _asked(self, *call: Any) -> None:
        self.calls.append(call)
        if self.gate is not None:
            await self.gate.wait()
        error, self.raises = self.raises, None
        if error is not None:
            raise error

    def _lease(self, name: str) -> Lease:
        if name not in self.entries or self.entries[name].lease is None:
            raise UnknownTokenError(name)
        lease = self.entries[name].lease
        assert lease is not None
        return lease

    async def fresh(self, name: str, min_ttl: float, *, admin: bool) -> Lease:
        await self._asked("fresh", name, min_ttl, admin)
        return self._lease(name)

    async def refresh(self, name: str, *, if_generation: int | None, reason: str, admin: bool) -> Lease:
        await self._asked("refresh", name, if_generation, reason, admin)
        return self._lease(name)

    async def resume(self, name: str) -> None:
        await self._asked("resume", name)
        self.entries[name].changes.clear()

    async def issue(self, name: str, parameters: Mapping[str, str], *, uid: int) -> Token:
        self.uid = uid
        await self._asked("issue", name, dict(parameters))
        return self.issued

    async def sign(self, name: str, call: CallToSign, *, uid: int) -> Mapping[str, Secret | str]:
        self.uid = uid
        await self._asked("sign", name, call)
        return {"x-signature": Secret("fake")}

    async def request_id(self, name: str) -> str:
        await self._asked("request_id", name)
        return "app-company--1"

    async def forget(self, name: str) -> None:
        await self._asked("forget", name)

    async def sync(self, name: str, label: str | None, *, take_over: bool) -> None:
        await self._asked("sync", name, label, take_over)

    async def inspect(self, name: str) -> tuple[SinkStatus, ...]:
        await self._asked("inspect", name)
        return self.entries[name].status().sinks

    async def reload(self, *, dry_run: bool, path: Path | None = None) -> ReloadAnswer:
        await self._asked("reload", dry_run, *([] if path is None else [path]))
        return ReloadAnswer(self.plan, self.restart_needed)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)
