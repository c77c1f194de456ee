"""The sealed form of one file."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokend.state.sealing import MAGIC, Sealer, StateKey, UnopenedError, is_sealed

ONE, TWO = (StateKey(b"a-planted-fake-key-of-32-bytes-" + last) for last in (b"1", b"2"))
PLAIN = b'{"version": 1, "name": "px", "token": "a-planted-fake-token"}'


@given(st.binary(max_size=5000), st.integers(0, 2**63), st.text(max_size=64))
def test_what_was_sealed_opens_under_its_name_and_no_other(content: bytes, number: int, name: str) -> None:
    """With its write number. Another kind of file is another name."""
    sealer = Sealer(ONE)
    sealed = sealer.seal("record", name, number, content)
    opened = sealer.open("record", name, sealed)
    assert (opened.content, opened.number, opened.is_current) == (content, number, True)
    for purpose, other in (("record", name + "x"), ("marks", name), ("index", name)):
        with pytest.raises(UnopenedError, match="another name"):
            sealer.open(purpose, other, sealed)  # type: ignore[arg-type]  # one of the purposes


def test_the_content_is_nowhere_in_the_sealed_form_and_no_nonce_comes_twice() -> None:
    """The nonce is new for every write, also of one content under one number."""
    sealer = Sealer(ONE)
    written = [sealer.seal("record", "px", 7, PLAIN) for _ in range(200)]
    assert len({sealed[32:44] for sealed in written}) == 200
    assert len({sealed[44:] for sealed in written}) == 200
    assert not any(b"fake-token" in sealed or b"fake-key" in sealed for sealed in written)


def test_no_byte_can_be_changed_added_or_taken_away() -> None:
    """Nor can the number in the header."""
    sealer = Sealer(ONE)
    sealed = sealer.seal("record", "px", 7, PLAIN)
    for place in range(len(MAGIC), len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(UnopenedError):
            sealer.open("record", "px", bytes(changed))
    for cut in range(len(MAGIC), len(sealed)):
        with pytest.raises(UnopenedError):
            sealer.open("record", "px", sealed[:cut])
    with pytest.raises(UnopenedError):
        sealer.open("record", "px", sealed + b"x")


def test_a_previous_key_opens_and_the_present_one_seals() -> None:
    """A file of the previous key has not the form of now; without a present key neither has any sealed file."""
    old = Sealer(ONE).seal("record", "px", 3, PLAIN)
    both = Sealer(TWO, [ONE])
    assert both.open("record", "px", old).content == PLAIN
    assert not both.open("record", "px", old).is_current
    new = both.seal("record", "px", 4, PLAIN)
    assert Sealer(TWO).open("record", "px", new).is_current
    back = Sealer(None, [ONE])
    assert (back.open("record", "px", old).content, back.open("record", "px", old).is_current) == (PLAIN, False)
    assert back.seal("record", "px", 5, PLAIN) == PLAIN
    assert not back.seals


def test_the_reasons_say_which_key_is_missing_and_show_none() -> None:
    """An operator must know what to set."""
    sealed = Sealer(ONE).seal("record", "px", 3, PLAIN)
    with pytest.raises(UnopenedError, match="previous_state_key"):
        Sealer(TWO).open("record", "px", sealed)
    with pytest.raises(UnopenedError, match="set state_key") as raised:
        Sealer().open("record", "px", sealed)
    assert "fake" not in str(raised.value)


def test_content_in_clear_is_taken_over() -> None:
    """Whether it may be there is the index' business."""
    opened = Sealer(ONE).open("record", "px", PLAIN)
    assert (opened.content, opened.number, opened.is_current) == (PLAIN, None, False)
    assert Sealer().open("record", "px", PLAIN).is_current
    assert not is_sealed(PLAIN)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_has_32_bytes(length: int) -> None:
    """No key is padded or cut."""
    with pytest.raises(ValueError, match="32 bytes"):
        StateKey(b"x" * length)


def test_without_a_key_nothing_of_cryptography_is_imported() -> None:
    """Its import takes as much as the rest of a start."""
    code = "import sys, tokend.state.sealed, tokend.state.sealing as s; s.Sealer().seal('record', 'px', 1, b'x')\n"
    code += "s.Sealer().open('record', 'px', b'x'); print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
