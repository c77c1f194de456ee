"""JSON Pointers: RFC 6901, and errors that show the configured pointer and nothing of the file."""

import pytest

from tokend.sinks.files.patching.pointer import parse_pointer
from tokend.sinks.files.patching.problems import NotThereError


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("/a", ("a",)),
        ("/auths/registry.example.com/auth", ("auths", "registry.example.com", "auth")),
        ("/~1~1registry.npmjs.org~1:_authToken", ("//registry.npmjs.org/:_authToken",)),
        ("/m~0n/~01/0", ("m~n", "~1", "0")),
        ("/", ("",)),
        ("/a//é b", ("a", "", "é b")),
    ],
)
def test_a_pointer_is_read_as_the_rfc_says(text: str, keys: tuple[str, ...]) -> None:
    """RFC 6901, 4: ``~1`` first, so that ``~01`` is ``~1``."""
    assert parse_pointer(text).keys == keys


@pytest.mark.parametrize("text", ["", "a", "a/b", "#/a", "/a~", "/a~2", "/a\n", "/a/-", "/" + "a/" * 40 + "b"])
def test_what_is_no_pointer_is_refused_without_being_quoted(text: str) -> None:
    """It may be a secret in the wrong place."""
    with pytest.raises(ValueError, match=r"key|JSON Pointer|item") as refused:
        parse_pointer(text)
    assert text not in str(refused.value) or len(text) < 3


@pytest.mark.parametrize("key", ["2", "01", "-1", "x", "9" * 30, ""])
def test_an_index_that_is_not_in_the_list_names_the_list(key: str) -> None:
    """No leading zeros, nothing behind the end."""
    with pytest.raises(NotThereError, match="/a is a list"):
        parse_pointer(f"/a/{key}").index(1, 2)


def test_an_index_in_the_list_is_a_number() -> None:
    """From 0."""
    assert [parse_pointer(f"/a/{key}").index(1, 2) for key in ("0", "1")] == [0, 1]


def test_a_missing_table_is_made_by_names_alone() -> None:
    """Where an index stands, a list may be meant."""
    assert parse_pointer("/0/a/b").missing(0) == ("0", "a", "b")
    assert parse_pointer("/a/b/0").missing(2) == ("0",)
    with pytest.raises(NotThereError, match="/a is not there, and lists are not made: make it for /a/b/0"):
        parse_pointer("/a/b/0").missing(0)


def test_messages_name_the_part_that_is_in_the_way() -> None:
    """In the escaped form of the configuration."""
    pointer = parse_pointer("/a~1b/c/d")
    assert str(pointer.passes_a_value(1)).startswith("/a~1b is a value without keys: /a~1b/c/d")
    assert str(pointer.passes_a_value(0)).startswith("the whole file is a value without keys")
    assert str(pointer.stands_twice(1, 2)).startswith("/a~1b/c is there 2 times")
    assert str(pointer.is_a_collection()).startswith("/a~1b/c/d is a table or a list")
