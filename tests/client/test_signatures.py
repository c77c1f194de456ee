"""The parts of a request that an adapter lets tokend sign. With real daemons: tests/behaviour/client."""

import pytest

from tokend.client.signatures import call_to_sign


@pytest.mark.parametrize(
    ("target", "body", "expected"),
    [
        ("/x?a=1&b=%20", None, ("/x", "a=1&b=%20", "")),
        ("", b"", ("/", "", "")),
        ("/x", '{"a": "ü"}'.encode(), ("/x", "", '{"a": "ü"}')),
        ("/x", "text", ("/x", "", "text")),
    ],
)
def test_path_query_and_body_are_those_that_are_sent(target: str, body: object, expected: tuple[str, ...]) -> None:
    """The query stays encoded, the body is its text."""
    path, query, text = expected
    assert call_to_sign("POST", target, body) == {"method": "POST", "path": path, "query": query, "body": text}


def test_a_body_that_is_no_text_is_refused() -> None:
    """A stream would be read, and another one sent; bytes that are no UTF-8 do not fit into JSON."""
    with pytest.raises(TypeError, match="streams"):
        call_to_sign("POST", "/x", iter([b"x"]))
    with pytest.raises(ValueError, match="utf-8"):
        call_to_sign("POST", "/x", b"\xff")
