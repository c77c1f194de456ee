"""STATUS= for systemd: one sentence about the health of all tokens, sent when it changes."""

from collections.abc import Callable, Mapping, Sequence

import anyio

from tokend.engine.supervisor import Supervisor
from tokend.machine.clock import Clock
from tokend.machine.yielding import with_pauses
from tokend.service_manager.notify import Notifier
from tokend.values.status import ProviderStatus, State
from tokend.values.tokens import utc

# Status goes to systemd at most this often.
STATUS_SECONDS = 1.0


class StatusLine:
    """Remember which providers fail, and why. Only providers that changed are asked again: there may be thousands."""

    def __init__(
        self,
        supervisor: Supervisor,
        notifier: Notifier,
        *,
        clock: Clock,
        config_refused: Callable[[], bool],
        troubles: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._supervisor = supervisor
        self._notifier = notifier
        self._clock = clock
        self._config_refused = config_refused
        self._troubles = troubles
        self._wrong: dict[str, str] = {}
        self._changed = set(supervisor.entries)
        self._news = anyio.Event()
        supervisor.subscribe(self._note)

    def send_soon(self) -> None:
        """Send a new status soon: a configuration was applied or refused, or a listener fails or recovered."""
        self._news.set()

    async def report(self) -> None:
        """Send the status whenever it changed, at most every `STATUS_SECONDS`. Runs until cancelled."""
        before = ""
        while True:
            self._news = anyio.Event()
            changed, self._changed = self._changed, set()
            async for name in with_pauses(changed):
                entry = self._supervisor.entries.get(name)
                if entry is not None and (reason := trouble(entry.status())) is not None:
                    self._wrong[name] = reason
                else:
                    self._wrong.pop(name, None)
            text = sentence(len(self._supervisor.entries), self._wrong, config_refused=self._config_refused())
            text = "; ".join([text, *self._troubles()])
            if text != before:
                self._notifier.status(text)
                before = text
            await self._news.wait()
            await self._clock.sleep(STATUS_SECONDS)

    def _note(self, name: str) -> None:
        self._changed.add(name)
        self._news.set()


def sentence(number: int, wrong: Mapping[str, str], *, config_refused: bool) -> str:
    """Return the number of tokens, the names of those that fail, and why (`trouble`), as one sentence."""
    text = f"{number} token{'s' * (number != 1)}"
    named = ", ".join(f"{name} ({reason})" for name, reason in sorted(wrong.items()))
    text += f", {len(wrong)} failing: {named}" if wrong else ", all well" if number else ""
    return f"{text}; the configuration on disk was refused, the former one goes on" if config_refused else text


def trouble(status: ProviderStatus) -> str | None:
    """Return what is wrong with one token or its sinks; None if nothing is, or if nothing has been tried yet."""
    parts = [f"sink {sink.label}: {sink.error}" for sink in status.sinks if sink.error is not None]
    well = status.state in (State.VALID, State.ON_DEMAND)
    if not well and (status.state is not State.PENDING or status.last_error is not None):
        reason = status.last_error.detail if status.last_error else _pause(status)
        parts.insert(0, f"{status.state}: {reason}" if reason else str(status.state))
    if (login := status.login) is not None and login.state == "ends_soon" and login.ends_at is not None:
        parts.append(f"login ends at {utc(login.ends_at)}: {login.advice.remedy}")
    return "; ".join(parts) or None


def _pause(status: ProviderStatus) -> str | None:
    """Return the pause of another provider of the host that holds this one back; None without one."""
    if status.paused_until is None:
        return None
    return (
        f"paused until {status.paused_until:%H:%M:%S} UTC: {status.paused_by} asked {status.paused_token} for a pause"
    )
