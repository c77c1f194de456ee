"""The configuration that runs now, since when, and the error of a newer one that was refused."""

from collections.abc import Callable, Mapping
from datetime import datetime

from tokend.config import Config
from tokend.values.status import ConfigStatus
from tokend.values.tokens import utc

# Keys of [daemon] that are read at start only.
READ_AT_START = (
    "socket",
    "socket_mode",
    "socket_group",
    "credentials_socket",
    "listen",
    "state",
    "state_directory",
    "state_key",
    "previous_state_key",
    "max_connections",
    "max_connections_per_uid",
)


class ConfigInForce:
    """Hold the configuration that runs now. Only `Reloader` changes it; everything else reads it or subscribes.

    ``loaded_at`` is aware UTC. ``error`` is the operator's text for the configuration on disk, None if that is valid.
    """

    def __init__(self, config: Config, loaded_at: datetime) -> None:
        self.config = config
        self.loaded_at = loaded_at
        self.error: str | None = None
        # Not the whole table: it may hold a secret.
        self._started = {key: getattr(config.daemon, key) for key in READ_AT_START}
        self._subscribers: list[Callable[[], None]] = []
        _keep_plugins(config)

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after each reload, also after one that was refused."""
        self._subscribers.append(callback)

    def replace(self, config: Config, loaded_at: datetime) -> None:
        """Put ``config`` in force. Subscribers are called by `announce`, when all of it has been applied."""
        self.config, self.loaded_at, self.error = config, loaded_at, None
        _keep_plugins(config)

    def refuse(self, error: str) -> None:
        """Keep the configuration, remember why the newer one was refused, and call the subscribers."""
        self.error = error
        self.announce()

    def announce(self) -> None:
        """Call the subscribers."""
        for callback in self._subscribers:
            callback()

    def restart_needed(self, config: Config | None = None) -> tuple[str, ...]:
        """Return the keys of ``config`` (default: the one in force) that differ from the start's and count only there.

        ``daemon.plugins`` is among them if a plug-in's file has changed since it was loaded. A reload cannot change
        them, so they stay until the restart: a later reload that changes nothing has them, too.
        """
        new = self.config if config is None else config
        keys = [key for key in READ_AT_START if getattr(new.daemon, key) != self._started[key]]
        if any(plugin.is_changed for plugin in new.plugins):
            keys.append("plugins")
        return tuple(f"daemon.{key}" for key in keys)

    def state(self) -> ConfigStatus:
        """Return the status."""
        config = self.config
        return ConfigStatus(self.loaded_at, self.error, self.restart_needed(), config.plugins, config.left_out)

    def event(self) -> Mapping[str, object]:
        """Return the body of the event ``config``. The error's text may name files: readers get one word."""
        return {
            "loaded_at": utc(self.loaded_at),
            "error": None if self.error is None else "refused",
            "restart_needed": list(self.restart_needed()),
        }


def _keep_plugins(config: Config) -> None:
    """Let the files of plug-ins whose kinds are in force run no second time."""
    if config.plugin_files:
        from tokend.plugin.plugin_file import put_in_use  # few configurations name a file

        put_in_use(type(one) for provider in config.providers.values() for one in (provider.settings, *provider.sinks))
