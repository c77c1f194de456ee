"""The index of a sealed state: which files were put back."""

import pytest

from tokend.state.sealed_index import BYTES_A_SECOND, SealedIndex
from tokend.state.sealing import Opened, Sealer, StateKey, UnopenedError
from tokend.values.errors import StoreError

ONE, TWO = (StateKey(b"a-planted-fake-key-of-32-bytes-" + last) for last in (b"1", b"2"))
SEALER = Sealer(ONE)
IN_CLEAR = Opened(b"", None, is_current=False)


def opened(number: int) -> Opened:
    return Opened(b"", number, is_current=True)


def with_numbers(**last: int) -> bytes:
    index = SealedIndex(SEALER, None)
    for name, number in last.items():
        index.wrote(f"record/{name}", number)
    return index.sealed(100)


def test_a_file_below_its_number_was_put_back_and_one_above_it_is_newer() -> None:
    """The index is written after the files, and may be behind."""
    index = SealedIndex(SEALER, with_numbers(px=7, tt=9))
    assert (index.is_found, index.is_opened, index.trouble, index.highest) == (True, True, None, 100)
    with pytest.raises(UnopenedError, match="write 6, the index has 7"):
        index.check("record/px", opened(6))
    index.check("record/px", opened(7))
    index.check("record/tt", opened(200))
    index.check("record/new", opened(1))
    index.check("marks/px", opened(1))
    assert index.highest == 200
    with pytest.raises(UnopenedError):
        index.check("record/tt", opened(9))


def test_a_file_in_clear_is_used_at_the_first_key_and_never_after_it_was_sealed() -> None:
    """Also where the daemon died before all of them were sealed."""
    first = SealedIndex(SEALER, None)
    for file in ("record/px", "record/tt", "marks/px"):
        first.check(file, IN_CLEAR)
    first.may_be_in_clear("record/unread")
    first.gone("marks/px")  # it was damaged, and is set aside
    second = SealedIndex(SEALER, first.sealed(1))
    for file in ("record/px", "record/tt", "record/unread"):
        second.check(file, IN_CLEAR)
    second.wrote("record/px", 2)
    third = SealedIndex(SEALER, second.sealed(3))
    third.check("record/tt", IN_CLEAR)
    third.may_be_in_clear("record/stranger")  # not after the first key
    for file in ("record/px", "marks/px", "record/stranger"):
        with pytest.raises(UnopenedError, match="another program put it there"):
            third.check(file, IN_CLEAR)


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"", "is damaged"),
        (b'{"version":1,"last":{},"in_clear":[]}', "is damaged"),  # not sealed: anybody can write that
        (SEALER.seal("index", "", 1, b"[]"), "is damaged"),
        (SEALER.seal("index", "", 1, b'{"version":2,"last":{},"in_clear":[]}'), "is damaged"),
        (SEALER.seal("index", "", 1, b'{"version":1,"last":{"record/px":"x"},"in_clear":[]}'), "is damaged"),
        (SEALER.seal("record", "", 1, b"{}"), "cannot be opened"),
        (Sealer(TWO).seal("index", "", 1, b"{}"), "cannot be opened: it is sealed with another key"),
        (StoreError("no"), "cannot be read: no"),
    ],
    # Not of the contents, which are random: each worker has to collect the same names.
    ids=["empty", "in clear", "a list", "version 2", "no number", "a record", "another key", "unreadable"],
)
def test_an_index_that_cannot_be_used_is_said_and_refuses_nothing(content: bytes | StoreError, trouble: str) -> None:
    """Who can damage it can take it away, too."""
    index = SealedIndex(SEALER, content)
    assert index.trouble is not None
    assert index.trouble.startswith(trouble)
    assert (index.is_found, index.is_opened, index.last) == (True, False, {})
    index.check("record/px", IN_CLEAR)
    index.check("record/px", opened(1))


def test_it_is_written_the_more_rarely_the_longer_it_is() -> None:
    """At 10,000 providers every ten seconds or so; never without a change."""
    index = SealedIndex(SEALER, None)
    assert index.seconds() is None
    index.wrote("record/px", 1)
    assert index.seconds() == 1.0
    for number in range(10_000):
        index.wrote(f"record/provider-{number:05d}", 1_000_000 + number)
    sealed = index.sealed(2_000_000)
    assert index.seconds() is None
    index.wrote("record/px", 3)
    assert index.seconds() == len(sealed) / BYTES_A_SECOND
    assert 5 < (index.seconds() or 0) < 20


def test_one_of_a_previous_key_is_written_again() -> None:
    """Its numbers hold."""
    index = SealedIndex(Sealer(TWO, [ONE]), with_numbers(px=7))
    assert index.seconds() is not None
    with pytest.raises(UnopenedError):
        index.check("record/px", opened(6))
