"""Settings of remote sinks: the keys of all, of stores with several keys in one object, and of stores over HTTP."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import AnnouncementTiming, SinkSettings
from tokend.plugin.settings_base import Duration, Strings
from tokend.plugin.sink import Content, SinkRuntime, Values
from tokend.plugin.templates import render
from tokend.values.errors import SinkError
from tokend.values.secret import Secret
from tokend.values.tokens import Lease
from tokend.values.url import host_of

Template = Annotated[str, Field(min_length=1, max_length=65536)]


class RemoteSinkSettings(SinkSettings):
    """The keys that every remote sink takes. A subclass implements `plugin.sink.RemoteSink`.

    ``one_line`` says that the store takes no control characters (a store of variables): a value with one is refused,
    and nothing is sent. ``compares`` says that a write names the state that it replaces, so that two writers notice
    each other; without it the last writer wins, and the status says so.
    """

    family: ClassVar[Literal["pushed", "remote", "served"]] = "remote"
    one_line: ClassVar[bool] = False
    compares: ClassVar[bool] = False

    timeout: Duration = timedelta(seconds=30)
    drift: Literal["repair", "report"] = "report"
    # How often the store is looked at; None: never.
    drift_interval: Duration | None = None
    # The shortest time between two writes; None: none.
    min_interval: Duration | None = None
    # Names of other held tokens, which the templates use.
    tokens: Strings = ()
    # A Jinja template; None: the raw token.
    value: Template | None = Field(default=None, repr=False)

    @property
    def upstream(self) -> str | None:
        """The ``host:port`` of the store: all sinks of one host pause together. None if the store has no host."""
        return host_of(self.server_url[1]) if isinstance(self, ConnectionSettings) else None

    def announcement_timing(self) -> AnnouncementTiming | None:
        """Return None: the store itself notifies its readers."""
        return None

    def templates(self) -> Mapping[str, str] | str | None:
        """Return the templates: one, several by key, or None for the raw token."""
        return self.value

    async def content(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Content:
        """Make the wanted content from the templates. Raises `SinkError` for a value that the store must not get.

        ``expires_at`` is the earliest end of all the tokens.
        """
        ends = [end for one in (lease, *others.values()) if (end := one.token.expires_at) is not None]
        values = await self._values(runtime, lease, others)
        for key, value in {"": values}.items() if isinstance(values, Secret) else values.items():
            self._require_usable(key, value)
        return Content(values, lease.generation, min(ends, key=lambda end: end.boot, default=None))

    async def _values(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Values:
        templates = self.templates()
        if templates is None:
            return lease.token.value
        if isinstance(templates, str):
            return await runtime.run_in_thread(lambda: Secret(render(self.target, templates, lease, others).decode()))
        draw = partial(render, self.target, lease=lease, others=others)
        return await runtime.run_in_thread(lambda: {key: Secret(draw(one).decode()) for key, one in templates.items()})

    def _require_usable(self, key: str, value: Secret) -> None:
        what = f"the value of {key}" if key else "the value"
        text = value.reveal()
        if not text:
            raise SinkError(f"{self.target}: {what} is empty: the template yields nothing")
        if self.one_line and not text.isprintable():
            raise SinkError(f"{self.target}: {what} holds a control character, which this store does not take")


class ValuesSettings(RemoteSinkSettings):
    """The key ``values`` of stores that keep several keys in one object. A mixin."""

    # Templates by key. Keys are literal: nested objects cannot be written.
    values: dict[str, Template] = Field(default_factory=dict, repr=False)

    def templates(self) -> Mapping[str, str] | str | None:
        """Return ``values``, else ``value``."""
        return self.values or self.value


class HttpSinkSettings(RemoteSinkSettings, ConnectionSettings):
    """The keys of a remote sink over HTTP: how to reach the store, and its credential.

    A kind overrides `server_url`, and the two class variables if the store does not take a Bearer token.
    """

    auth_header: ClassVar[str] = "Authorization"
    auth_prefix: ClassVar[str] = "Bearer "

    @property
    def auth_place(self) -> tuple[str, str]:
        """The header of the credential, and the text before the credential."""
        return self.auth_header, self.auth_prefix

    # Optional here: a store of the machine itself may need none. A kind declares it again to demand it.
    auth: SecretField | None = None
