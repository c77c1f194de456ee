"""Settings of remote sinks: the keys of all, of stores with several keys in one object, and of stores over HTTP."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import AnnouncementTiming, SinkSettings
from tokend.plugin.settings_base import Duration, Strings
from tokend.plugin.sink import Content, SinkRuntime, Values
from tokend.plugin.templates import render
from tokend.values.errors import SinkFinalError
from tokend.values.secret import Secret
from tokend.values.tokens import Lease
from tokend.values.url import has_user, host_of, is_confidential

# Keys whose text may be a URL with a password: a proxy takes one, and a template may make one.
MAY_HOLD_A_USER = frozenset({"proxy", "value", "values"})
DAY_SECONDS = 86_400.0
LEAD_SHARE = 0.2

Template = Annotated[str, Field(min_length=1, max_length=65536)]


class RemoteSinkSettings(SinkSettings):
    """The keys that every remote sink takes. A subclass implements `plugin.sink.RemoteSink`.

    ``one_line`` says that the store takes no control characters (a store of variables): a value with one is refused,
    and nothing is sent. ``compares`` says that a write names the state that it replaces, so that two writers notice
    each other; without it the last writer wins, and the status says so. ``writes_end`` says that the store gets the end
    of the token beside the value: a token that gets a later end is put again. ``writes_per_day`` is the number of
    writes of one value that the store's quota allows, None for a store without such a quota. ``read_with`` are the
    programs that print a value of the store (`names_in_store`).
    """

    family: ClassVar[Literal["pushed", "remote", "served"]] = "remote"
    one_line: ClassVar[bool] = False
    compares: ClassVar[bool] = False
    writes_end: ClassVar[bool] = False
    writes_per_day: ClassVar[int | None] = None
    read_with: ClassVar[frozenset[str]] = frozenset()

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

    @field_validator("*", mode="after")
    @classmethod
    def _no_user_in_a_url(cls, value: Any, info: ValidationInfo) -> Any:
        texts = value if isinstance(value, tuple) else (value,)
        if info.field_name not in MAY_HOLD_A_USER and any(isinstance(one, str) and has_user(one) for one in texts):
            raise ValueError("a URL holds no user and no password here: they have keys of their own")
        return value

    def announcement_timing(self) -> AnnouncementTiming | None:
        """Return None: the store itself notifies its readers. A kind that announces overrides it and `announce`."""
        return None

    async def announce(self, runtime: SinkRuntime) -> None:
        """Announce a write, so that the store's readers use the new value. One attempt, as `plugin.sink.Sink` says."""

    def templates(self) -> Mapping[str, str] | str | None:
        """Return the templates: one, several by key, or None for the raw token."""
        return self.value

    def placed_templates(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield each template with the path of its key below the table."""
        templates = self.templates()
        if isinstance(templates, str):
            yield ("value",), templates
        elif templates is not None:
            yield from ((("values", key), one) for key, one in templates.items())

    @property
    def hidden_part(self) -> str:
        """The difference from another target of the same name, not for messages. "" if the name is enough."""
        return ""

    def names_in_store(self) -> tuple[str, ...]:
        """Return the names that a command of ``read_with`` needs to read the value. Empty: unknown."""
        return ()

    def is_read_by(self, argv: tuple[str, ...]) -> bool:
        """Return whether a command has a program of ``read_with`` and all `names_in_store` among its words."""
        names, text = self.names_in_store(), "\0".join(argv)
        return bool(names) and any(map(_has_word(text), self.read_with)) and all(map(_has_word(text), names))

    def quota_warning(self, life_seconds: float) -> str | None:
        """Return a warning if tokens of this life are written more often than the store's quota allows, else None.

        A token is replaced when a fifth of its life is left.
        """
        shortest = 0.0 if self.min_interval is None else self.min_interval.total_seconds()
        between = max(life_seconds * (1 - LEAD_SHARE), shortest, 1.0)
        if self.writes_per_day is None or between * self.writes_per_day >= DAY_SECONDS:
            return None
        least = math.ceil(DAY_SECONDS / self.writes_per_day / 60)
        return (
            f"a token that lives {life_seconds:.0f} s means {DAY_SECONDS / between:.0f} writes a day, and this store "
            f"takes {self.writes_per_day}: it needs a longer life, or a min_interval of at least {least}m"
        )

    def interval_warning(self, life_seconds: float) -> str | None:
        """Return a warning if tokens of this life end before ``min_interval`` allows the next write, else None."""
        if self.min_interval is None or self.min_interval.total_seconds() <= life_seconds:
            return None
        return (
            f"min_interval is longer than a token lives ({life_seconds:.0f} s): until the next write the store holds "
            "a token that has ended"
        )

    async def content(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Content:
        """Make the wanted content from the templates. Raises `SinkFinalError` for a value that the store must not get.

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
            raise SinkFinalError(f"{self.target}: {what} is empty: the template yields nothing")
        if self.one_line and not text.isprintable():
            raise SinkFinalError(f"{self.target}: {what} holds a control character, which this store does not take")


def _has_word(text: str) -> Callable[[str], bool]:
    """Return a function that says whether ``text`` has a word that is not a part of a longer name."""
    return lambda word: re.search(rf"(?<![A-Za-z0-9_-]){re.escape(word)}(?![A-Za-z0-9_-])", text) is not None


class ValuesSettings(RemoteSinkSettings):
    """The key ``values`` of stores that keep several keys in one object. A mixin."""

    # Templates by key. Keys are literal: nested objects cannot be written.
    values: dict[str, Template] = Field(default_factory=dict, repr=False)

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if self.values and self.value is not None:
            raise ValueError("give either value, for one key, or values, for several")
        return self

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

    @model_validator(mode="after")
    def _to_a_safe_server(self) -> Self:
        key, url = self.server_url
        if has_user(url):
            raise ValueError(f"{key}: a URL holds no user and no password here: they have keys of their own")
        if not is_confidential(url):
            raise ValueError(f"{key}: a store's URL is https://host, or http:// to loopback only")
        return self
