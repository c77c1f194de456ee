"""Public documents in a record."""

from tests.engine.records.test_login_states import NOW
from tokend.engine.records.documents import (
    MOST_DOCUMENTS,
    Document,
    dump_documents,
    load_documents,
    moved,
    with_document,
)


def test_a_document_replaces_the_one_of_its_key_and_the_oldest_are_dropped() -> None:
    """A state file does not grow without end."""
    documents: tuple[Document, ...] = ()
    for number in range(MOST_DOCUMENTS + 3):
        documents = with_document(documents, Document(str(number), number, NOW))
    documents = with_document(documents, Document("5", "newer", NOW.after(1)))
    assert [one.key for one in documents] == ["3", "4", "6", "7", "8", "9", "10", "5"]
    assert documents[-1] == Document("5", "newer", NOW.after(1))


def test_they_come_back_and_a_reboot_moves_them() -> None:
    """In their order."""
    documents = (Document("a", {"issuer": ["x"]}, NOW), Document("b", None, NOW.after(1)))
    assert load_documents(dump_documents(documents)) == documents
    assert [one.at for one in moved(documents, lambda at: at.after(2))] == [NOW.after(2), NOW.after(3)]
