"""The content of a login file, and its meaning for one provider that shares it. Pure."""

from dataclasses import replace
from datetime import datetime

from tokend.engine.records.login_record import LoginRecord
from tokend.engine.records.login_states import Lost, RefusedOnce
from tokend.engine.records.record import Record
from tokend.engine.records.seen_file import SeenFile
from tokend.engine.records.shared_login import SharedLogin
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.logins import LoginClient
from tokend.values.tokens import Token

# A refresh token that was refused once is sent again so much later, by any daemon.
SECOND_REFUSAL_SECONDS = 5.0


class OlderFileError(StoreError):
    """The login file is older than one that was seen, or is gone. A person's login, or a logout, replaces it."""


def seen_by(record: Record, path: str) -> SeenFile:
    """Return what the record remembers of the file at ``path``."""
    seen = record.seen
    if seen is not None and seen.path == path:
        return seen
    return SeenFile(path, own=record.own_login)


def require_newest(shared: SharedLogin | None, seen: SeenFile, again: str) -> None:
    """Raise `OlderFileError` if the file that was read is not the one that was seen last, or a newer one.

    ``again`` says how another login begins.
    """
    if shared is None and seen.number:
        raise OlderFileError(f"login file {seen.path} is gone: put the newest copy back, or {again}")
    if shared is not None and shared.number < seen.number:
        raise OlderFileError(
            f"login file {seen.path} is older than it was (write {shared.number}, seen {seen.number}): its refresh "
            f"token is spent; put the newest copy back, or {again}"
        )


def with_content(record: Record, shared: SharedLogin | None, seen: SeenFile, now: Instant) -> Record:
    """Show the logins of the file in the record. Where a logout or another account has withdrawn the token, it goes.

    None: there is no file, and the login in use of the record is the one to begin with. Where there is a file, that
    login is set aside in the record, unless it has moved into the file and the record was not saved afterwards.
    """
    if shared is None:
        own = seen.own
        return replace(record, login=LoginRecord(own.state, own.initial, notices=own.notices), seen=seen)
    own, theirs = replace(seen.own.without_over(now), notices=()), shared.logins.login
    if own.login is not None:
        has_moved = theirs is not None and theirs.obtained_at.wall == own.login.obtained_at.wall
        own = LoginRecord(aside=own.aside) if has_moved else own.without_login(now)
    is_withdrawn = bool(seen.number) and shared.withdrawals > seen.withdrawals
    logins = _with_notices(shared.logins, record.login)
    record = replace(record, login=logins, seen=SeenFile(seen.path, shared.number, shared.withdrawals, own))
    return record.without_token() if is_withdrawn and record.lease is not None else record


def _with_notices(logins: LoginRecord, known: LoginRecord) -> LoginRecord:
    """Add the notices that are ``known`` of the same login: one was given that could not be written to the file."""
    if _obtained(logins) != _obtained(known) or logins.end_moves != known.end_moves:
        return logins
    missing = tuple(one for one in known.notices if one not in logins.notices)
    return replace(logins, notices=(*logins.notices, *missing)) if missing else logins


def _obtained(logins: LoginRecord) -> datetime | None:
    return None if logins.login is None else logins.login.obtained_at.wall


def ready_to_move(own: LoginRecord, client: LoginClient, initial: str | None, now: Instant) -> LoginRecord:
    """Return the logins of a record that are about to move into a file, with the digest of the ``initial`` refresh
    token that counts there."""
    return replace(own.for_client(client, now), initial=initial)


def newer_token(record: Record, shared: SharedLogin, request: str, now: Instant) -> Token | None:
    """Return the token of the file, if it is valid, was asked for the same, and is newer than the one held."""
    if shared.token is None or shared.request != request or not shared.token.is_valid(now):
        return None
    if record.lease is None:
        return shared.token
    held = record.lease.token
    is_newer = held.value != shared.token.value and held.issued_at.until(shared.token.issued_at) > 0
    return shared.token if is_newer else None


def seconds_until_turn(record: Record, shared: SharedLogin, now: Instant, *, hastened: bool = False) -> float:
    """Compute the seconds until the refresh token may be sent, by what the file says; 0: now.

    ``hastened``: an admin wants it soon. After a lost answer that is the shortest pause, too: it may be another
    daemon's, and have come after the wish.
    """
    state = record.login.state
    if isinstance(state, RefusedOnce) or (hastened and isinstance(state, Lost)):
        return max(0.0, now.until(shared.saved_at) + SECOND_REFUSAL_SECONDS)
    return 0.0 if state.next_at is None else max(0.0, now.until(state.next_at))
