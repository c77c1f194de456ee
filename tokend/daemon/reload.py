"""Replacement of the configuration in force: read, validate, plan, apply; all or nothing."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio

from tokend.config import Config, SocketSettings
from tokend.config.secret_checks import secret_warnings
from tokend.daemon.config_in_force import ConfigInForce
from tokend.engine.context.contract import ReloadAnswer
from tokend.engine.context.warnings import SECRETS
from tokend.engine.reload_plan import ReloadPlan
from tokend.engine.supervisor import Supervisor
from tokend.files import be_strict, judged_once
from tokend.kinds import load_config
from tokend.machine import logs
from tokend.machine.clock import Clock
from tokend.machine.file_watch import LOOK_SECONDS, FileWatch
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.kind_bugs import bug_behind
from tokend.plugin.login import login_file_of
from tokend.plugin.secret_reading import files_of
from tokend.plugin.settings import HeldSettings
from tokend.service_manager.notify import Notifier
from tokend.upstream.tls import forget_contexts
from tokend.values.errors import ConfigError
from tokend.values.status import StatusWarning

# Many signals or saves in a row cause one reload a second.
RELOAD_SECONDS = 1.0
# Reading a configuration reads secret files: `reload` must not wait for ever on a disk that hangs.
LOAD_SECONDS = 60.0
# A configuration names the files to watch, so it may have changed before they were watched. Each further read is caused
# by a program that is writing at that moment.
READ_TRIES = 5
# The beginning of the name in a plan for a table of additional sockets; its path follows.
SOCKETS = "[[sockets]]"

log = logs.get_logger()


class Reloader:
    """Replace the configuration in force: on request, after `want`, and when its files change.

    ``explicit`` is the configuration's path in argv. ``sockets`` applies the tables of ``[[sockets]]``. After `begin`,
    run `watch_files`, `reload_when_wanted`, `retry_refused` and `inspect_secrets` as tasks.
    """

    def __init__(
        self,
        in_force: ConfigInForce,
        supervisor: Supervisor,
        explicit: Path | None,
        *,
        clock: Clock,
        threads: ThreadPool,
        watch_threads: ThreadPool,
        notifier: Notifier,
        sockets: Callable[[Sequence[SocketSettings]], Awaitable[None]],
    ) -> None:
        self._in_force = in_force
        self._supervisor = supervisor
        self._watch = FileWatch(self._changed, threads=watch_threads)
        self._explicit = explicit
        self._clock = clock
        self._threads = threads
        self._notifier = notifier
        self._sockets = sockets
        self._lock = anyio.Lock()
        self._wanted = anyio.Event()
        self._uninspected: set[Path] = set()  # secret files that changed
        self._secrets_changed = anyio.Event()
        self._warned: frozenset[tuple[object, ...]] = frozenset()  # the warnings that were logged

    def want(self) -> None:
        """Request a reload soon. Several requests before it begins cause one reload."""
        self._wanted.set()

    async def reload(self, dry_run: bool = False, path: Path | None = None) -> ReloadAnswer:
        """Read, validate, plan, apply; returns the plan. With ``dry_run`` nothing is applied.

        With ``path``, that file is planned instead of the one in force; only with ``dry_run``. Raises `ConfigError`;
        the running providers are unchanged then.
        """
        async with self._lock:
            if dry_run:
                return self._answer(self._supervisor.plan(await self._load(path)))
            self._notifier.reloading()
            try:
                return await self._replace()
            except ConfigError as error:
                self._refuse(error)
                raise
            except Exception as error:
                # A bug here must not end the daemon: the running providers go on.
                log.exception("config.crashed")
                bug = ConfigError(f"the configuration was not applied: {bug_behind(error)}; the log has its traceback")
                self._refuse(bug)
                raise bug from None
            finally:
                # systemd waits for READY=1, also when the configuration was refused or the client has disconnected.
                self._notifier.ready()

    async def reload_when_wanted(self) -> None:
        """Reload after each `want`. Runs until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            with suppress(ConfigError):  # logged and shown in the status already
                await self.reload()
            await self._clock.sleep(RELOAD_SECONDS)

    async def begin(self) -> None:
        """Log the warnings of the configuration in force, and record the present state of the watched files.

        Call it before the first secret is read, so that no change is missed.
        """
        self._log_warnings(self._in_force.config)
        await self._watch.follow(_watched(self._in_force.config))

    async def watch_files(self) -> None:
        """Watch the files of the configuration and of its secrets. Runs until cancelled."""
        # The configuration was read before `begin`, and may have changed in between. Loading a second one to compare
        # takes as much memory again: that is done only where the files differ.
        try:
            changed = not await self._is_on_disk() and await self._load() != self._in_force.config
        except ConfigError:
            changed = True
        if changed:
            self.want()
        await self._watch.run()

    async def retry_refused(self) -> None:
        """While the configuration on disk is refused, read it every few seconds. Runs until cancelled.

        The fix may be in a file that is not watched: a newly included file, a secret, a file mode.
        """
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            if self._in_force.error is not None and not self._lock.locked():
                try:
                    await self._load()
                except ConfigError as error:
                    if error.detail == self._in_force.error:
                        continue
                self.want()

    async def inspect_secrets(self) -> None:
        """Inspect secrets that changed, for the warnings in log and status. Runs until cancelled."""
        while True:
            await self._secrets_changed.wait()
            self._secrets_changed = anyio.Event()
            config, paths, self._uninspected = self._in_force.config, self._uninspected, set()
            try:
                found = await self._threads.run(partial(_warnings_about, config, paths), seconds=LOAD_SECONDS)
            except TimeoutError:
                continue  # the watch reports a disk that hangs
            for name, warnings in found.items() if config is self._in_force.config else ():
                for warning in self._supervisor.warnings.put(name, SECRETS, warnings):
                    log.warning("secret.warning", token=name, code=warning.code, detail=warning.message)

    def _changed(self, paths: set[Path]) -> None:
        config = self._in_force.config
        if paths & {*config.files, *config.directories, *config.vendor_files, *config.plugin_files}:
            self.want()
        if secrets := paths & set(config.secret_files):
            log.info("secret.changed", files=len(secrets))
            self._supervisor.secrets_changed(secrets)
            self._uninspected |= secrets
            self._secrets_changed.set()
        forget_contexts(paths)
        self._supervisor.connection_files_changed(paths)
        self._supervisor.login_files_changed(paths)

    async def _replace(self) -> ReloadAnswer:
        config = await self._load_watched()
        plan = self._supervisor.plan(config)
        answer, waiting = self._answer(plan), self._in_force.restart_needed()
        # The client may disconnect, and the daemon may be stopped: half a configuration must not be in force.
        with anyio.CancelScope(shield=True):
            await self._supervisor.carry_out(plan)
            self._in_force.replace(config, self._clock.instant().wall)
            be_strict(config.daemon.strict_paths)
            await self._sockets(config.sockets)
            self._supervisor.repair_sinks()
            await self._watch.follow(_watched(config))
        logs.configure(level=config.daemon.log_level, form=config.daemon.log_format)
        self._log_warnings(config)
        if answer.restart_needed and answer.restart_needed != waiting:
            keys = ", ".join(key.removeprefix("daemon.") for key in answer.restart_needed)
            log.warning("config.restart_needed", detail=f"restart needed for {keys}")
        log.info("config.loaded", changes=len(answer.plan))
        self._in_force.announce()
        return answer

    def _log_warnings(self, config: Config) -> None:
        """Log each warning once: a warning that the last configuration had, too, is not logged again."""
        for warning in config.warnings:
            if warning.identity not in self._warned:
                log.warning("config.warning", code=warning.code, detail=warning.headline)
        self._warned = frozenset(warning.identity for warning in config.warnings)

    def _refuse(self, error: ConfigError) -> None:
        # A saved file and the `tokend reload` after it cause the same refusal twice: it is logged as an error once.
        (log.debug if error.detail == self._in_force.error else log.error)("config.refused", detail=error.detail)
        self._in_force.refuse(error.detail)

    async def _load(self, planned: Path | None = None) -> Config:
        load = partial(load_config, self._explicit, before=self._in_force.config)
        if planned is not None:
            from tokend.daemon.planned_file import load_planned  # rarely asked for

            load = partial(load_planned, planned)
        try:
            return await self._threads.run(load, seconds=LOAD_SECONDS)
        except TimeoutError as error:
            why = str(error) or f"a disk hangs, for {LOAD_SECONDS:.0f} s"
            raise ConfigError(f"the configuration could not be read: {why}") from None
        except OSError as error:
            raise ConfigError(f"the configuration could not be read: {error.strerror or error}") from None

    async def _is_on_disk(self) -> bool:
        try:
            return await self._threads.run(self._in_force.config.is_on_disk, seconds=LOAD_SECONDS)
        except TimeoutError:
            return False

    async def _load_watched(self) -> Config:
        """Load a configuration and watch its files, so that no change between the two is missed."""
        config = await self._load()
        for _ in range(READ_TRIES):
            if not await self._watch.follow(_watched(self._in_force.config) | _watched(config)):
                break
            config = await self._load()
        return config

    def _noted(self, row: Mapping[str, str], config: Config) -> Mapping[str, str]:
        """Say in a row which scopes the login has not been granted that the new table asks for."""
        provider = config.providers.get(row["name"])
        note = None if provider is None else self._supervisor.scopes_note(provider)
        return row if note is None else {**row, "note": note}

    def _answer(self, plan: ReloadPlan) -> ReloadAnswer:
        """Return the plan's rows, before it is carried out, and the keys that need a restart."""
        rows = [self._noted(row, plan.config) for row in plan]
        rows += _socket_rows(self._in_force.config.sockets, plan.config.sockets)
        return ReloadAnswer(rows, self._in_force.restart_needed(plan.config))


def _socket_rows(now: Sequence[SocketSettings], new: Sequence[SocketSettings]) -> list[Mapping[str, str]]:
    before, after = ({socket.path: socket for socket in sockets} for sockets in (now, new))
    actions = {path: "remove" if path not in after else "add" for path in before.keys() ^ after.keys()}
    actions |= {path: "change" for path in before.keys() & after.keys() if before[path] != after[path]}
    return [{"name": f"{SOCKETS} {path}", "action": action} for path, action in sorted(actions.items())]


def _warnings_about(config: Config, paths: set[Path]) -> dict[str, tuple[StatusWarning, ...]]:
    """Inspect the secrets of the providers that read one of ``paths``, and those of their sinks. Blocks."""
    with judged_once(strict=config.daemon.strict_paths):
        return {
            name: secret_warnings(provider)
            for name, provider in config.providers.items()
            if any(not paths.isdisjoint(files_of(one)) for one in (provider.settings, *provider.sinks))
        }


def _watched(config: Config) -> set[Path]:
    files = {*config.files, *config.directories, *config.vendor_files, *config.plugin_files, *config.secret_files}
    return files | _connection_files(config) | _login_files(config)


def _login_files(config: Config) -> set[Path]:
    """Return the login files: another daemon may have written a newer login."""
    held = (one.settings for one in config.providers.values() if isinstance(one.settings, HeldSettings))
    return {path for settings in held if (path := login_file_of(settings)) is not None}


def _connection_files(config: Config) -> set[Path]:
    return {path for provider in config.providers.values() for path in provider.settings.connection_files()}
