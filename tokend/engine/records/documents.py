"""Public documents that a kind keeps in its provider's record: the metadata of a server. Pure. They hold no secret."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tokend.engine.records.codec_values import dump_instant, mapping, moment
from tokend.values.instant import Instant
from tokend.values.tokens import JSON

# A state file does not grow without end.
MOST_DOCUMENTS = 8


@dataclass(frozen=True, slots=True)
class Document:
    """One document, and when it was fetched."""

    key: str
    content: JSON
    at: Instant


def with_document(documents: tuple[Document, ...], new: Document) -> tuple[Document, ...]:
    """Add a document, or replace the one of its key. Above `MOST_DOCUMENTS` the oldest are dropped."""
    return (*(one for one in documents if one.key != new.key), new)[-MOST_DOCUMENTS:]


def moved(documents: tuple[Document, ...], dated: Callable[[Instant], Instant]) -> tuple[Document, ...]:
    """Give the documents the boot times of another boot."""
    return tuple(replace(one, at=dated(one.at)) for one in documents)


def dump_documents(documents: tuple[Document, ...]) -> dict[str, Any]:
    """Encode the documents, the oldest first."""
    return {one.key: {"content": one.content, "at": dump_instant(one.at)} for one in documents}


def load_documents(value: Any) -> tuple[Document, ...]:
    """Decode what `dump_documents` encoded."""
    return tuple(Document(key, one["content"], moment(one["at"])) for key, one in mapping(value).items())
