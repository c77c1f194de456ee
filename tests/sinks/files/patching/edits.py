"""Edits by pointer and text, for the tests of all formats, and what hypothesis makes them of."""

import string
from types import ModuleType

from hypothesis import strategies as st

from tokend.sinks.files.patching.pointer import Pointer, parse_pointer
from tokend.sinks.files.patching.value import Value

# A value that stands once in a document, and its place: the rest of the document must not change.
OLD = "OLD-obviously-fake"
NEW = 'new "obviously" \\ fake é'

NEWLINES = st.sampled_from(["\n", "\r\n"])
# Any text that can be read back from a file of UTF-8.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.text(string.ascii_letters + "_-.~/ é", min_size=1, max_size=6).filter(lambda name: name == name.strip())


def pointer_to(*keys: str | int) -> Pointer:
    """The pointer to these keys."""
    return parse_pointer("".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys))


def set_in(form: ModuleType, text: str, pointer: str, value: str = NEW, *, number: bool = False) -> str:
    """Set a value; the same edit once more changes nothing."""
    place, wanted = parse_pointer(pointer), Value(value, number)
    after: str = form.edit(text, place, wanted)
    assert form.edit(after, place, wanted) == after
    return after


def removed_from(form: ModuleType, text: str, pointer: str) -> str:
    """Take a key away; the same edit once more changes nothing."""
    after: str = form.edit(text, parse_pointer(pointer), None)
    assert form.edit(after, parse_pointer(pointer), None) == after
    return after
