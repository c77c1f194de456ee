"""The logins that a provider's record keeps: reconciled with the settings, and ended by persons.

They concern each kind: a record may have logins of a kind that had the provider's name before. ``login`` is None where
the kind never uses one.
"""

from collections.abc import Collection
from dataclasses import replace

from tokend.engine.context.context import Context
from tokend.engine.held.accepted_logins import AcceptedLogins
from tokend.engine.held.provider_login import ProviderLogin
from tokend.engine.policy.failure import resumed
from tokend.engine.policy.login_change import reconcile_logins
from tokend.engine.records.login_record import NO_LOGINS
from tokend.engine.records.record import Record
from tokend.values.logins import Login


async def reconcile(name: str, login: ProviderLogin | None, context: Context) -> bool:
    """Use the login of the settings' client, or begin one with another initial refresh token.

    Returns whether an attempt is wanted.
    """
    if login is not None and (file := login.exchange.file) is not None:
        return await login.follow(file)
    store = context.store
    if store.get(name).seen is not None:  # the login is kept here again, from nothing
        await store.update(name, lambda record: replace(record, login=record.own_login, seen=None))
    if login is None and store.get(name).login == NO_LOGINS:
        return False
    client = None if login is None else login.client
    initial = None if login is None else await login.initial_refresh_token()
    now, before = context.clock.instant(), store.get(name).login
    after = reconcile_logins(before, client, initial, now)
    if after == before:
        return False
    begins = after.login != before.login and after.login is not None and not after.state.is_required

    def changed(record: Record) -> Record:
        record = replace(record, login=reconcile_logins(record.login, client, initial, now))
        return resumed(record, record.attempts.failures.refusals) if begins and not record.rejected else record

    await store.update(name, changed)
    return begins


async def log_out(name: str, login: ProviderLogin | None, accepted: AcceptedLogins | None, context: Context) -> None:
    """Withdraw the token and set the login aside for good. A record that cannot be opened is dropped.

    Logins that wait in ``accepted`` are refused. Raises `StoreError` where a login file cannot be written.
    """
    await context.store.drop_unopened(name)
    now = context.clock.instant()

    def ended(record: Record) -> Record:
        return replace(record.without_token(), login=record.login.without_login(now, logged_out=True))

    if login is None or accepted is None:  # none or both
        await context.store.update(name, ended)
    else:
        async with login.exchange.guard.barred():
            accepted.refuse_waiting()
            await login.exchange.rewrite(ended, withdraws=True)


async def drop_logged_out(name: str, login: ProviderLogin | None, ended: Collection[Login], context: Context) -> None:
    """Drop the ``ended`` logins, and those of former clients. Raises `StoreError` as `log_out`.

    What a later logout has ended stays: it is still to be revoked.
    """

    def dropped(record: Record) -> Record:
        seen = record.seen
        if seen is not None:
            seen = replace(seen, own=replace(seen.own, aside=()))  # no logout ends one of these
        return replace(record, login=record.login.without_aside(ended), seen=seen)

    if login is None:
        await context.store.update(name, dropped)
    else:
        await login.exchange.rewrite(dropped, withdraws=False)
