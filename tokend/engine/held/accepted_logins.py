"""The logins that persons have brought to one provider, until its loop has saved them, one after the other.

The loop makes the exchanges of the login, too, so that the answer of none can replace a person's login.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tokend.engine.context.context import Context
from tokend.engine.held.exchange_guard import LOGGED_OUT
from tokend.engine.held.provider_login import ProviderLogin
from tokend.machine.event import Event
from tokend.plugin.kind_bugs import bug_in
from tokend.values.errors import StoreError
from tokend.values.logins import Granted

CHANGED = "the configuration has changed"


@dataclass(slots=True)
class AcceptedLogin:
    """A login that a person has begun, for the loop to save; ``error`` is why it was not.

    ``another_account``: the token held is the account's before. ``is_left``: the loop has ended before it saved it.
    """

    granted: Granted
    another_account: bool
    done: Event = field(default_factory=Event)
    error: StoreError | None = None
    is_left: bool = False


class AcceptedLogins:
    """Keep the logins of persons for the loop of the provider ``name``, which ``wake`` wakes."""

    __slots__ = ("_is_followed", "_is_refusing", "_login", "_name", "_store", "_waiting", "_wake")

    def __init__(self, name: str, login: ProviderLogin, context: Context, wake: Callable[[], None]) -> None:
        self._name = name
        self._login = login
        self._store = context.store
        self._wake = wake
        self._waiting: list[AcceptedLogin] = []
        self._is_followed = self._is_refusing = False

    # -------------------------------------------------------------- for persons

    async def accept(self, granted: Granted, *, another_account: bool) -> None:
        """Use the login that a person has begun, and its token. Returns when both are saved and shown."""
        if (why := self._store.unopened(self._name)) is not None:
            raise StoreError(f"{self._name}: {why}")
        if self._is_refusing:
            raise self._refusal(CHANGED)
        accepted = AcceptedLogin(granted, another_account)
        if self._is_followed:
            self._waiting.append(accepted)
            self._wake()
            await accepted.done.wait()
        if not accepted.done.is_set() or accepted.is_left:
            await self._save(accepted)  # the daemon ends, and the loop has ended before
        if accepted.error is not None:
            raise accepted.error

    def refuse(self) -> None:
        """Refuse the logins that wait for the loop, and later ones: it ends, and the daemon goes on."""
        self._is_refusing = True
        self._refuse_waiting(CHANGED)

    def refuse_waiting(self) -> None:
        """Refuse the logins that wait for the loop: somebody has logged out since they came."""
        self._refuse_waiting(LOGGED_OUT)

    def _refuse_waiting(self, why: str) -> None:
        while self._waiting:
            accepted = self._waiting.pop()
            accepted.error = self._refusal(why)
            accepted.done.set()

    def _refusal(self, why: str) -> StoreError:
        return StoreError(f"{self._name}: {why}: log in again")

    # -------------------------------------------------------------- for the loop

    def follow(self) -> None:
        """Let logins wait from here on: the loop has begun, and saves them."""
        self._is_followed = True

    def leave(self) -> None:
        """Let the persons whose logins wait save these themselves: the loop has ended."""
        self._is_followed = False
        while self._waiting:
            accepted = self._waiting.pop()
            accepted.is_left = True
            accepted.done.set()

    def is_empty(self) -> bool:
        """Return whether no login waits."""
        return not self._waiting

    async def save_next(self) -> bool:
        """Save the login that has waited longest. Returns False where an attempt must bring its token."""
        return await self._save(self._waiting.pop(0))

    async def _save(self, accepted: AcceptedLogin) -> bool:
        """Save a login, or note why it was not. Returns False where it is saved without a token."""
        try:
            return await self._login.accept(accepted.granted, another_account=accepted.another_account)
        except StoreError as error:
            accepted.error = error  # nothing was kept
            return True
        except Exception:
            accepted.error = StoreError(f"{bug_in(self._login.settings)}; the log has its traceback")
            raise
        except BaseException:  # the loop ends before anything was saved
            accepted.is_left = True
            raise
        finally:
            accepted.done.set()
