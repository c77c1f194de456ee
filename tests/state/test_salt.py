"""The salt among the files that may hold it."""

import pytest

from tokend.state.salt import SALT_BYTES, find_salt
from tokend.state.sealing import Sealer, StateKey, is_sealed

ONE, TWO = (StateKey(b"a-planted-fake-key-of-32-bytes-" + last) for last in (b"1", b"2"))
SALT = b"a-planted-fake-salt-of-32-bytes-"


def test_the_same_salt_under_every_key() -> None:
    """In clear, sealed, sealed with another key, and back: its form is what changes."""
    clear = find_salt([("salt", SALT)], Sealer())
    assert (clear.value, clear.is_saved, clear.file(Sealer())) == (SALT, True, SALT)
    first = find_salt([("salt", SALT)], Sealer(ONE))
    assert (first.value, first.is_saved, first.is_new) == (SALT, False, False)
    sealed = first.file(Sealer(ONE))
    assert is_sealed(sealed)
    assert SALT not in sealed
    assert find_salt([("salt", sealed)], Sealer(ONE)).is_saved
    rotated = find_salt([("salt", sealed)], Sealer(TWO, [ONE]))
    assert (rotated.value, rotated.is_saved) == (SALT, False)
    back = find_salt([("salt", rotated.file(Sealer(TWO, [ONE])))], Sealer(None, [TWO]))
    assert (back.value, back.is_saved, back.file(Sealer(None, [TWO]))) == (SALT, False, SALT)


@pytest.mark.parametrize("sealer", [Sealer(), Sealer(TWO)], ids=["no key", "another key"])
def test_a_salt_that_does_not_open_keeps_its_place(sealer: Sealer) -> None:
    """Another one gets another name; the right key finds the first again, also where both are there."""
    sealed = find_salt([("salt", SALT)], Sealer(ONE)).file(Sealer(ONE))
    other = find_salt([("salt", sealed)], sealer)
    assert other.is_new
    assert other.name.startswith("salt.")
    both = [("salt", sealed), (other.name, other.file(sealer))]
    again = find_salt(both, sealer)
    assert (again.value, again.name, again.is_saved) == (other.value, other.name, True)
    assert find_salt(both, Sealer(ONE)).value == SALT


@pytest.mark.parametrize("content", [b"", b"torn", b"x" * 33])
def test_a_torn_salt_is_replaced(content: bytes) -> None:
    """It never was one."""
    found = find_salt([("salt", content)], Sealer(ONE))
    assert (found.name, found.is_new, len(found.value)) == ("salt", True, SALT_BYTES)
    assert find_salt([], Sealer()).name == "salt"
