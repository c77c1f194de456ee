"""`LoginSession`: a login that a person has begun and not finished. It lives in memory only."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import anyio

from tokend.machine.event import Event
from tokend.plugin.login import BrowserLogin, DeviceLogin, Flow
from tokend.values.instant import Instant
from tokend.values.logins import Granted, LoginClient

SessionState: TypeAlias = Literal["pending", "done", "failed", "expired"]


@dataclass(slots=True, eq=False, repr=False)
class LoginSession:
    """One login under way, and what came of it.

    ``uid`` is the peer that began it: no other one may finish, poll or cancel it. ``begun`` holds its secrets, and is
    None as soon as it has ended. ``ended`` is set at its end. ``exchange`` is held while an answer of the person is
    being exchanged. ``error`` is the operator's sentence, also of the last failed try of a session that goes on.
    """

    login_id: str
    name: str
    uid: int
    flow: Flow
    client: LoginClient
    begun: BrowserLogin | DeviceLogin | None
    expires_at: Instant
    allows_other_account: bool = False
    state: SessionState = "pending"
    error: str | None = None
    subject: str | None = None
    # What the server granted, while the person has to confirm whose account it is.
    unconfirmed: Granted | None = None
    ended: Event = field(default_factory=Event)
    exchange: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def awaits_confirmation(self) -> bool:
        """Whether the person has to confirm that it is of the account ``subject``."""
        return self.unconfirmed is not None

    @property
    def is_pending(self) -> bool:
        """Whether the person may still finish it."""
        return self.state == "pending"

    def end(self, state: SessionState, *, error: str | None = None, subject: str | None = None) -> None:
        """End a pending one, and drop its secrets."""
        self.state, self.error, self.subject, self.begun = state, error, subject, None
        self.unconfirmed = None
        self.ended.set()
