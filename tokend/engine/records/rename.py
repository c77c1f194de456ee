"""Records of renamed providers, and of names that pass to another provider. Pure."""

from dataclasses import replace

from tokend.engine.records.forgotten import merged
from tokend.engine.records.record import Record
from tokend.engine.records.token_states import NO_TOKEN, WITHDRAWN, Held, NoToken
from tokend.values.instant import Instant


def renamed(record: Record, name: str, *, there: Record, now: Instant) -> Record:
    """Give a record another name. Of ``there``, what the name was used for before, the generations stay: they only
    rise. What was forgotten stays, too, and its logins are set aside."""
    token, above = record.token, there.generation
    record = replace(record, forgotten=merged(there.forgotten, record.forgotten))
    if record.seen is None:
        record = replace(record, login=record.login.with_aside(there.own_login, now))
    else:
        beside = record.seen.own.with_aside(there.own_login, now)
        record = replace(record, seen=replace(record.seen, own=beside))
    if not isinstance(token, Held):
        return replace(record, generation=max(record.generation, above))
    generation = record.generation if record.generation > above else above + 1
    # The generation of a record that is out of date is another token's: this one does not get it.
    own = token.lease.generation if record.is_outdated else generation
    lease = replace(token.lease, name=name, generation=own)
    return replace(record, token=replace(token, lease=lease), generation=generation)


def for_another_kind(record: Record) -> Record:
    """Keep what stays when a name passes to another kind: what every name keeps, the host's pause, that sinks must not
    hold the token, the logins, which the new kind sets aside, and the documents: a counter goes on where the name comes
    back to its kind."""
    token = NO_TOKEN if isinstance(record.token, NoToken) else WITHDRAWN
    return replace(
        emptied(record), token=token, host_pause=record.host_pause, login=record.own_login, documents=record.documents
    )


def emptied(record: Record) -> Record:
    """Keep what every name keeps: the generations that were used, and the tokens that were forgotten."""
    return Record(generation=record.generation, forgotten=record.forgotten)


def is_blank(record: Record) -> bool:
    """Return whether nothing is known but what every name keeps."""
    return record == emptied(record)
