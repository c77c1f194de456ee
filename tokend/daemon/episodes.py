"""Episodes that a person should know of: rejected credentials, an expired token, a sink or a configuration that fails.

An episode begins once, however often its cause is seen, and ends once. Pure: the caller gives status and time.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from tokend.engine.held.login_status import scopes_note
from tokend.values.instant import Instant
from tokend.values.status import ProviderStatus, State

EventName: TypeAlias = Literal[
    "rejected",
    "recovered",
    "expired",
    "config_refused",
    "sink_failing",
    "login_required",
    "login_ends_soon",
    "scopes_missing",
]

# A failed write is repeated after 1, 2 and 4 s: most faults of a disk or a deploy are over by then.
SINK_SECONDS = 5.0
CONFIG = "config"
OF_THE_TOKEN = ("credentials", "token")
BAD_SINK = frozenset({"failing", "rejected", "conflict"})


class News(NamedTuple):
    """The begin or the end of an episode, or a notice about a login; ``name`` is the token's, "" for the configuration.

    ``ends_at`` is when a login ends (RFC 3339), ``command`` what a person has to run; "" where there is none.
    """

    event: EventName
    name: str
    detail: str
    ends_at: str = ""
    command: str = ""


class Cause(NamedTuple):
    """Why an episode goes on; ``seconds`` must pass before it begins.

    ``silent``: it began before a restart of the daemon, which reported it then. ``command`` is what a person has to
    run, "" where there is none.
    """

    event: EventName
    detail: str
    seconds: float = 0.0
    silent: bool = False
    command: str = ""


class Episodes:
    """The episodes that go on now, and those that are about to begin."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], str] = {}
        self._seen: dict[tuple[str, str], Instant] = {}

    def update(self, name: str, causes: Mapping[str, Cause], now: Instant, *, well: bool = True) -> Iterator[News]:
        """Compare the causes about one token ("" for the configuration), by a key, with the episodes that go on.

        While it is not ``well``, the episodes of `OF_THE_TOKEN` go on without a cause, and no other one of them begins:
        new credentials are not accepted yet.
        """
        known = [key for key in [*self._begun, *self._seen] if key[0] == name]
        for key, cause in causes.items():
            episode = (name, key)
            if episode in self._begun or (key in OF_THE_TOKEN and self._goes_on(name)):
                continue
            since = self._seen.setdefault(episode, now)
            if since.until(now) >= cause.seconds:
                del self._seen[episode]
                self._begun[episode] = cause.event
                if not cause.silent:
                    yield News(cause.event, name, cause.detail, command=cause.command)
        for episode in known:
            if episode[1] not in causes and (well or episode[1] not in OF_THE_TOKEN):
                self._seen.pop(episode, None)
                if (event := self._begun.pop(episode, None)) is not None:
                    yield News("recovered", name, f"{episode[1]}: {event} is over")

    def _goes_on(self, name: str) -> bool:
        return any((name, key) in self._begun for key in OF_THE_TOKEN)

    def begins_at(self, seconds: float = SINK_SECONDS) -> Instant | None:
        """Return when the next episode may begin whose cause has been seen; None if there is none."""
        return min((since.after(seconds) for since in self._seen.values()), key=lambda one: one.boot, default=None)

    def waiting(self) -> frozenset[str]:
        """Return the names whose causes have been seen, and whose episodes have not begun."""
        return frozenset(name for name, _ in self._seen)


def causes_of(status: ProviderStatus, started: datetime, *, is_first: bool = False) -> dict[str, Cause]:
    """Return what a person should know about one token, by a key for the episode.

    ``started`` is the start of the daemon, aware UTC. A token that ended before it counts after the first failure.
    ``is_first``: nobody has looked at the token before.
    """
    error, causes = status.last_error, {}
    failed = error is not None and error.at >= started
    reason = "" if error is None else error.detail
    if status.state is State.REJECTED:
        detail = reason or "the upstream refuses the credentials"
        causes["credentials"] = Cause("rejected", detail, silent=not failed)
    elif status.state is State.LOGIN_REQUIRED:
        # The begin for a login is a notice (`engine.logins.login_watch`), once for a login and over restarts.
        causes["credentials"] = Cause("login_required", reason, silent=status.login is not None or not failed)
    elif status.state is State.EXPIRED and (failed or status.expires_at is None or status.expires_at >= started):
        causes["token"] = Cause("expired", reason or "the token has ended, and there is no new one")
    if status.login is not None and (missing := scopes_note(status.login)) is not None:
        causes["scopes"] = Cause("scopes_missing", missing, silent=is_first, command=status.login.command or "")
    for sink in status.sinks:
        if sink.state in BAD_SINK and sink.error is not None:
            causes[sink.label] = Cause("sink_failing", f"{sink.label}: {sink.error}", SINK_SECONDS)
    return causes
