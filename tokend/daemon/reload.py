"""The configuration in force, and the way to the next one: read, validate, plan, apply; all or nothing."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio

from tokend.config import Config
from tokend.engine.supervisor import Supervisor
from tokend.kinds import load_config
from tokend.machine import logs
from tokend.machine.clock import Clock
from tokend.machine.file_watch import LOOK_SECONDS, FileWatch
from tokend.machine.thread_pool import ThreadPool
from tokend.service_manager.notify import Notifier
from tokend.values.errors import ConfigError

# A storm of signals or saves causes one reload a second.
RELOAD_SECONDS = 1.0
# Reading a configuration reads secret files; a disk that hangs must not hold `reload` for ever.
LOAD_SECONDS = 60.0
# A configuration names the files that are to be watched; each further read can only be due to somebody who is writing.
READ_TRIES = 5
# The name in a plan of what is no provider: no provider can have it.
DAEMON = "[daemon]"
# What is read only at start.
NEEDS_RESTART = (
    "socket",
    "socket_mode",
    "socket_group",
    "credentials_socket",
    "listen",
    "state",
    "state_directory",
    "max_connections",
    "max_connections_per_uid",
)

log = logs.get_logger()


class Reloader:
    """Hold the configuration in force and replace it: when told, when asked by `want`, when its files change.

    ``config`` is in force already. ``explicit`` is the path that was named on the command line. ``told`` is called
    after each reload, also after one that was refused. After `begin`, `watch_files`, `obey_wishes` and `look_again` are
    its tasks.
    """

    def __init__(
        self,
        config: Config,
        explicit: Path | None,
        *,
        clock: Clock,
        threads: ThreadPool,
        watch_threads: ThreadPool,
        notifier: Notifier,
    ) -> None:
        self.config = config
        self.loaded_at = clock.instant().wall
        self.error: str | None = None
        self.told: Callable[[], None] = lambda: None
        self.supervisor: Supervisor
        self._watch = FileWatch(self._changed, threads=watch_threads)
        self._explicit = explicit
        self._clock = clock
        self._threads = threads
        self._notifier = notifier
        self._lock = anyio.Lock()
        self._wanted = anyio.Event()

    def want(self) -> None:
        """Have the configuration read again soon; wishes that come together are one."""
        self._wanted.set()

    async def reload(self, dry_run: bool = False) -> Sequence[Mapping[str, str]]:
        """Read, validate, plan, apply; returns the plan. Raises `ConfigError`; everything runs on unchanged then."""
        async with self._lock:
            if dry_run:
                return self._plan(await self._load())
            self._notifier.reloading()
            try:
                return await self._replace()
            except ConfigError as error:
                self._refuse(error)
                raise
            except Exception:
                # It stays this reload's own: what runs goes on running.
                log.exception("config.crashed")
                bug = ConfigError("the configuration was not applied: a bug in tokend, whose log has the traceback")
                self._refuse(bug)
                raise bug from None
            finally:
                # systemd waits for it, also when the configuration was refused or the one who asked has gone.
                self._notifier.ready()

    async def obey_wishes(self) -> None:
        """Reload whenever it is wanted."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            with suppress(ConfigError):  # logged, and shown in status
                await self.reload()
            await self._clock.sleep(RELOAD_SECONDS)

    async def begin(self) -> None:
        """Note how the files are that will be watched: before the first secret is read, so that no change is lost."""
        await self._watch.follow(_watched(self.config))

    async def watch_files(self) -> None:
        """Notice changes of the configuration's files, and of the secrets'."""
        # It was read before `begin`. To load it again only to compare would take as much memory once more.
        try:
            changed = not await self._is_on_disk() and await self._load() != self.config
        except ConfigError:
            changed = True
        if changed:
            self.want()
        await self._watch.run()

    async def look_again(self) -> None:
        """While the configuration on disk is refused: see whether it was mended.

        What mends it may be a file that is not watched: one that is included newly, a secret, a mode.
        """
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            if self.error is not None and not self._lock.locked():
                try:
                    await self._load()
                except ConfigError as error:
                    if error.detail == self.error:
                        continue
                self.want()

    def _changed(self, paths: set[Path]) -> None:
        if paths & {*self.config.files, *self.config.directories}:
            self.want()
        if secrets := paths & set(self.config.secret_files):
            log.info("secret.changed", files=len(secrets))
            self.supervisor.secrets_changed(secrets)

    async def _replace(self) -> Sequence[Mapping[str, str]]:
        config = await self._load_watched()
        plan = self._plan(config)
        # Whoever asked may go, and the daemon may be told to stop: half a configuration must not be in force.
        with anyio.CancelScope(shield=True):
            await self.supervisor.apply(config)
            self.config, self.error, self.loaded_at = config, None, self._clock.instant().wall
            await self._watch.follow(_watched(config))
        logs.configure(level=config.daemon.log_level, form=config.daemon.log_format)
        for warning in config.warnings:
            log.warning("config.warning", detail=warning.headline)
        for step in plan:
            if step["name"] == DAEMON:
                log.warning("config.restart_needed", detail=step["action"])
        log.info("config.loaded", changes=len(plan))
        self.told()
        return plan

    def _refuse(self, error: ConfigError) -> None:
        # A saved file and the `tokend reload` after it are two ways to one refusal: the log has it once.
        (log.debug if error.detail == self.error else log.error)("config.refused", detail=error.detail)
        self.error = error.detail
        self.told()

    async def _load(self) -> Config:
        try:
            return await self._threads.run(
                partial(load_config, self._explicit, before=self.config), seconds=LOAD_SECONDS
            )
        except TimeoutError as error:
            why = str(error) or f"a disk hangs, for {LOAD_SECONDS:.0f} s"
            raise ConfigError(f"the configuration could not be read: {why}") from None
        except OSError as error:
            raise ConfigError(f"the configuration could not be read: {error.strerror or error}") from None

    async def _is_on_disk(self) -> bool:
        try:
            return await self._threads.run(self.config.is_on_disk, seconds=LOAD_SECONDS)
        except TimeoutError:
            return False

    async def _load_watched(self) -> Config:
        """Load, and watch what was read: nothing may change unnoticed between the two."""
        config = await self._load()
        for _ in range(READ_TRIES):
            if not await self._watch.follow(_watched(self.config) | _watched(config)):
                break
            config = await self._load()
        return config

    def _plan(self, config: Config) -> list[Mapping[str, str]]:
        plan: list[Mapping[str, str]] = list(self.supervisor.plan(config))
        fixed = [key for key in NEEDS_RESTART if getattr(config.daemon, key) != getattr(self.config.daemon, key)]
        if fixed:
            plan.append({"name": DAEMON, "action": "restart needed for " + ", ".join(fixed)})
        return plan


def _watched(config: Config) -> set[Path]:
    return {*config.files, *config.directories, *config.secret_files}
