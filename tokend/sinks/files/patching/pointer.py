"""JSON Pointers (RFC 6901), the paths of values in all formats."""

import re
from dataclasses import dataclass

from tokend.sinks.files.patching.problems import NotThereError, UneditableError

_LONE_TILDE = re.compile(r"~(?![01])")
DEEPEST = 32
# RFC 6901, 4: no leading zeros.
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A path of keys. ``text`` is the pointer as it was written."""

    text: str
    keys: tuple[str, ...]

    def up_to(self, depth: int) -> str:
        """Return the pointer of the value that the first ``depth`` keys lead to, for messages."""
        return "/".join(self.text.split("/")[: depth + 1]) or "the whole file"

    def missing(self, depth: int) -> tuple[str, ...]:
        """Return the keys from ``depth`` on, of tables that have to be made. Raises `NotThereError` for an index.

        Whether a list or a table with the key 0 is missing cannot be known.
        """
        if any(_INDEX.fullmatch(key) for key in self.keys[depth + 1 :]):
            raise NotThereError(
                f"{self.up_to(depth + 1)} is not there, and lists are not made: make it for {self.text}"
            )
        return self.keys[depth:]

    def index(self, depth: int, length: int) -> int:
        """Return the key at ``depth`` as an index into an array of this length. Raises `NotThereError`."""
        key = self.keys[depth]
        if not _INDEX.fullmatch(key):
            raise NotThereError(f"{self.up_to(depth)} is a list: the next part of {self.text} is an index, 0, 1, …")
        if int(key) >= length:
            raise NotThereError(f"{self.up_to(depth)} is a list with {length} items: {self.text} is not in it")
        return int(key)

    def passes_a_value(self, depth: int) -> NotThereError:
        """Make the error for a value on the way that has no keys."""
        return NotThereError(f"{self.up_to(depth)} is a value without keys: {self.text} cannot be made in it")

    def stands_twice(self, depth: int, times: int) -> UneditableError:
        """Make the error for a key on the way that is there more than once."""
        return UneditableError(f"{self.up_to(depth + 1)} is there {times} times: readers differ on which one counts")

    def needs_another_change(self) -> UneditableError:
        """Make the error for a result that differs from the file in more than the value."""
        return UneditableError(f"{self.text} cannot be set without a change of something else")

    def is_a_collection(self) -> UneditableError:
        """Make the error for a table or a list at the place of the value."""
        return UneditableError(f"{self.text} is a table or a list: it is not replaced by a value")


def parse_pointer(text: str) -> Pointer:
    """Parse ``/a/b~1c``. Raises ValueError, whose message does not quote it."""
    if not text.startswith("/"):
        raise ValueError('a key is a JSON Pointer: it begins with "/", as in "/auths/registry.example.com/auth"')
    if _LONE_TILDE.search(text):
        raise ValueError('in a JSON Pointer "~" is written "~0", and "/" within a key "~1"')
    if not text.isprintable():
        raise ValueError("a key holds a control character")
    parts = text[1:].split("/")
    if "-" in parts:
        raise ValueError('"-" is the item after the last one of a list: items are not added, write an index')
    if len(parts) > DEEPEST:
        raise ValueError(f"a key has at most {DEEPEST} parts")
    return Pointer(text, tuple(part.replace("~1", "/").replace("~0", "~") for part in parts))
