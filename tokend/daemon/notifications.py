"""``[daemon] notify``: run a command when a person should act. Each episode causes a run at its begin and at its end.

The command gets TOKEND_EVENT (`episodes.EventName`), TOKEND_NAME (the token, or empty) and TOKEND_DETAIL (a sentence),
for a login also TOKEND_COMMAND and TOKEND_ENDS_AT (or empty), and neither secrets nor tokens. For an episode that goes
on when the daemon starts, the run at its begin is left out. Notices about logins come once, also over restarts.
"""

from collections.abc import Sequence

from tokend.daemon.config_in_force import ConfigInForce
from tokend.daemon.episodes import CONFIG, Cause, Episodes, News, causes_of
from tokend.engine.logins.login_watch import LoginNotice
from tokend.engine.supervisor import Supervisor
from tokend.machine.clock import Clock
from tokend.machine.command import failure_of_command
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.machine.thread_pool import Threads
from tokend.machine.yielding import with_pauses
from tokend.values.status import State
from tokend.values.tokens import utc

COMMAND_SECONDS = 30.0
# The thread may be needed to end a command that is out of time.
THREAD_SECONDS = COMMAND_SECONDS + 5.0
LONGEST_DETAIL = 300
# An upstream that fails a thousand tokens at once is one fact for a person.
MOST_AT_ONCE = 20

log = get_logger()


class Notifications:
    """Watch all tokens and the configuration, and run the command of the configuration in force; see `run`."""

    def __init__(self, supervisor: Supervisor, in_force: ConfigInForce, *, clock: Clock, threads: Threads) -> None:
        self._supervisor = supervisor
        self._in_force = in_force
        self._clock = clock
        self._threads = threads
        self._episodes = Episodes()
        self._started = clock.instant().wall
        self._changed: set[str] = set()
        self._knows_all = False
        self._news = Event()
        self._notices: list[LoginNotice] = []
        supervisor.subscribe(self._note)
        supervisor.logins.subscribe(self._note_login)
        in_force.subscribe(lambda: self._news.set())

    async def run(self) -> None:
        """Run the command for each episode, one at a time, until cancelled."""
        while True:
            self._news = Event()
            for news in _bounded(await self._look()):
                await self._run_command(news)
            begins_at = self._episodes.begins_at()
            now = self._clock.instant()
            await self._clock.wait(None if begins_at is None else now.after(now.until(begins_at)), self._news)

    async def _look(self) -> list[News]:
        """Compare what has changed with the episodes that go on."""
        if self._in_force.config.daemon.notify is None:
            # Statuses of thousands of tokens are made for nobody. All of them count when a reload sets the command.
            self._episodes, self._changed, self._knows_all = Episodes(), set(), False
            self._notices.clear()
            return []
        is_first = not self._knows_all
        changed = set(self._supervisor.entries) if is_first else self._changed | self._episodes.waiting()
        self._changed, self._knows_all = set(), True
        error = self._in_force.error
        causes = {} if error is None else {CONFIG: Cause("config_refused", _first_line(error))}
        notices, self._notices = self._notices, []
        found = [_news_of(notice) for notice in notices]
        found += self._episodes.update("", causes, self._clock.instant())
        async for name in with_pauses(changed - {""}):
            entry = self._supervisor.entries.get(name)
            status = None if entry is None else entry.status()
            causes = {} if status is None else causes_of(status, self._started, is_first=is_first)
            well = status is None or status.state in (State.VALID, State.ON_DEMAND)
            news = list(self._episodes.update(name, causes, self._clock.instant(), well=well))
            found += news if entry is not None else ()
        return found

    async def _run_command(self, news: News) -> None:
        argv = self._in_force.config.daemon.notify
        if argv is None:
            return
        added = {"TOKEND_EVENT": news.event, "TOKEND_NAME": news.name, "TOKEND_DETAIL": _printable(news.detail)}
        if news.command or news.ends_at:
            added |= {"TOKEND_COMMAND": news.command, "TOKEND_ENDS_AT": news.ends_at}
        try:
            failure = await self._threads.run(
                lambda: failure_of_command(argv, added, seconds=COMMAND_SECONDS), seconds=THREAD_SECONDS
            )
        except TimeoutError as error:  # of the threads
            failure = f"{argv[0]} did not end within {COMMAND_SECONDS:.0f} s" if not str(error) else str(error)
        if failure is None:
            log.info("notify.sent", notice=news.event, token=news.name or None)
        else:
            log.warning("notify.failed", notice=news.event, token=news.name or None, detail=failure)

    def _note_login(self, notice: LoginNotice) -> None:
        self._notices.append(notice)
        self._news.set()

    def _note(self, name: str) -> None:
        self._changed.add(name)
        self._news.set()


def _news_of(notice: LoginNotice) -> News:
    if notice.ends_at is None:
        return News("login_required", notice.name, notice.detail, command=notice.command or "")
    return News("login_ends_soon", notice.name, notice.detail, utc(notice.ends_at.wall), notice.command or "")


def _bounded(news: Sequence[News]) -> Sequence[News]:
    """Cut a long list, and say in its last entry how many more there were."""
    if len(news) <= MOST_AT_ONCE:
        return news
    rest = news[MOST_AT_ONCE - 1 :]
    return [*news[: MOST_AT_ONCE - 1], News(rest[0].event, "", f"{len(rest)} more; `tokend status` shows them")]


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _printable(text: str) -> str:
    """Cut a sentence, and replace what could mean something to a terminal or a mail program."""
    return "".join(one if one.isprintable() else " " for one in text)[:LONGEST_DETAIL]
