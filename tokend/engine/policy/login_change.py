"""Reconcile a provider's logins with the current settings: whose login is used, and is there a new one to begin with?
Pure.
"""

from dataclasses import dataclass, replace

from tokend.engine.records.login_record import LoginRecord
from tokend.engine.records.login_states import Ready
from tokend.values.instant import Instant
from tokend.values.logins import Login, LoginClient
from tokend.values.secret import Secret


@dataclass(frozen=True, slots=True)
class InitialToken:
    """The configured (initial) refresh token as it can be read now, and its salted digest."""

    token: Secret
    digest: str


def reconcile_logins(
    record: LoginRecord, client: LoginClient | None, initial: InitialToken | None, now: Instant
) -> LoginRecord:
    """Compute the logins under settings with this ``client``, None where they use no login.

    An initial refresh token is used while there is no login, and again only when it is another one than the one last
    used. ``initial`` is None where none is configured, or where it cannot be read.
    """
    record = record.for_client(client, now)
    if client is None or initial is None or initial.digest == record.initial:
        return record
    if record.login is not None and record.initial is None and not record.state.is_required:
        # A person has logged in, and the one that is configured was not needed: only another one counts from here on.
        return replace(record, initial=initial.digest)
    login = Login(initial.token, client, origin=None, obtained_at=now, refreshed_at=now)
    return replace(record, state=Ready(login), initial=initial.digest, end_moves=False, notices=())
