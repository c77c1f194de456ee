"""What becomes of a record when its provider is renamed, or its name passes to another. Pure."""

from dataclasses import replace

from tokend.engine.records.record import Record


def renamed(record: Record, name: str, *, above: int) -> Record:
    """The same record under another name, whose generations were used up to ``above``: they only rise."""
    generation = record.generation if record.generation > above or record.lease is None else above + 1
    lease = None if record.lease is None else replace(record.lease, name=name, generation=generation)
    return replace(record, lease=lease, generation=max(generation, above))


def succeeded_by_another(record: Record) -> Record:
    """What remains of a record when its name passes to another kind: the generations, that sinks hold nothing, and what
    a host has asked for."""
    return Record(
        generation=record.generation,
        withdrawn=record.lease is not None,
        host_pause=record.host_pause,
        paused_host=record.paused_host,
    )


def left_behind(record: Record) -> Record:
    """What remains under a name whose record moved to another: the generations."""
    return Record(generation=record.generation)


def is_blank(record: Record) -> bool:
    """Tell whether nothing is known but the generations that were used."""
    return record == left_behind(record)
