"""Interface of a provider that can have a login; `engine.held.HeldProvider` implements it."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeGuard

from tokend.engine.records.record import Record
from tokend.plugin.login import InteractiveLogin, RememberingRuntime, has_interactive_login
from tokend.plugin.settings import HeldSettings
from tokend.values.logins import Granted, Login


class LoginHolder(Protocol):
    """A running provider whose token may come from a login."""

    @property
    def settings(self) -> HeldSettings:
        """The settings in force."""

    @property
    def login(self) -> Login | None:
        """The login now kept, whether it is used, refused or set aside; None without one."""

    @property
    def login_runtime(self) -> RememberingRuntime:
        """The runtime of exchanges under the settings in force."""

    async def accept_login(self, granted: Granted, *, another_account: bool) -> None:
        """Keep what was granted to a person as the login, durably, and publish its token.

        ``another_account``: the old token is withdrawn first. Raises `StoreError` where it cannot be saved.
        """

    @property
    def logged_out(self) -> Sequence[Login]:
        """The logins that a person has ended, and that no server has confirmed."""

    async def log_out(self) -> None:
        """Withdraw the token, and never use the login again, durably. Raises `StoreError` where it cannot be saved."""

    async def drop_logged_out(self, ended: Collection[Login]) -> None:
        """Drop the ``ended`` logins and those of former clients, durably. What was logged out later stays."""

    async def remember_notices(self, change: Callable[[Record], Record]) -> None:
        """Remember notices about the login, as ``change`` says. Raises `StoreError` where it is kept in a file that
        cannot be written; nothing is remembered then."""


def interactive(settings: object) -> TypeGuard[InteractiveLogin]:
    """Return whether a person can log in under these settings."""
    return isinstance(settings, HeldSettings) and has_interactive_login(settings)


def subject_of(settings: InteractiveLogin) -> str | None:
    """Return the account that the key ``subject`` of the settings pins, if the kind has the key."""
    subject = getattr(settings, "subject", None)
    return subject if isinstance(subject, str) else None
