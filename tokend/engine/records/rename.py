"""Records of renamed providers, and of names that pass to another provider. Pure."""

from dataclasses import replace

from tokend.engine.records.record import Record
from tokend.engine.records.token_states import NO_TOKEN, WITHDRAWN, Held, NoToken


def renamed(record: Record, name: str, *, above: int) -> Record:
    """Give a record another name, under which generations up to ``above`` were used: generations only rise."""
    token = record.token
    if not isinstance(token, Held):
        return replace(record, generation=max(record.generation, above))
    generation = record.generation if record.generation > above else above + 1
    lease = replace(token.lease, name=name, generation=generation)
    return replace(record, token=replace(token, lease=lease), generation=generation)


def for_another_kind(record: Record) -> Record:
    """Keep what stays when a name passes to another kind: the generations, the host's pause, and that sinks must not
    hold the token."""
    token = NO_TOKEN if isinstance(record.token, NoToken) else WITHDRAWN
    return Record(generation=record.generation, token=token, host_pause=record.host_pause)


def generations_only(record: Record) -> Record:
    """Keep what stays under a name whose record moved to another: the generations."""
    return Record(generation=record.generation)


def is_blank(record: Record) -> bool:
    """Return whether nothing is known but the generations that were used."""
    return record == generations_only(record)
