"""Answers as declared kinds read them: any JSON, or none, and not more than 64 KiB."""

from datetime import UTC, datetime

import pytest

from tests.plugin.declared.replies import answer
from tokend.plugin.declared.expressions import Expression
from tokend.values.errors import TransientError


def test_an_answer_is_any_json() -> None:
    """Not only an object."""
    assert answer({"a": 1}).find(Expression("a")) == 1
    assert answer(True).holds(Expression("@"))
    assert answer([{"a": 1}]).find(Expression("[0].a")) == 1
    assert answer({"a": 1}).problem is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b"<html>", "HTML"), (b"", "not acceptable"), (b'{"a":1,"a":2}', "not acceptable"), (b"\xff", "not acceptable"),
     (b"[" * 9999, "not acceptable"), (b'{"a":NaN}', "not acceptable"), (b'\xef\xbb\xbf{"a":1}', "not acceptable")],
)  # fmt: skip
def test_no_json_has_nothing_at_any_place(body: bytes, problem: str) -> None:
    """The reason is there for a message, without a byte of the body."""
    found = answer(body)
    assert found.find(Expression("a")) is None
    assert not found.holds(Expression("!a"))
    assert found.problem is not None
    assert problem in found.problem


def test_a_large_body_is_not_looked_into() -> None:
    """The answer is discarded; its status is known all the same."""
    large = answer(b"x" * (64 * 1024 + 1), 503)
    assert large.status == 503
    for call in (
        lambda: large.find(Expression("a")),
        lambda: large.contains("x"),
        lambda: large.holds(Expression("a")),
    ):
        with pytest.raises(TransientError, match=r"store\.example:443 answered with more than 64 KiB"):
            call()
    assert answer(b"x" * 64 * 1024).contains("x")


def test_an_evaluation_that_does_not_end_names_the_host() -> None:
    """The answer is discarded."""
    with pytest.raises(TransientError, match=r"^store\.example:443: the answer is too large"):
        answer([1] * 20_000).find(Expression("[*].[@, @, @] | [*].[@]"))


def test_a_text_is_found_in_any_body() -> None:
    """As it is written, upper and lower case apart."""
    assert answer(b"Bad Request").contains("Bad Request")
    assert not answer(b"bad request").contains("Bad Request")
    assert answer("é".encode() + b"\xff").contains("é")


@pytest.mark.parametrize(
    ("cookies", "value"),
    [
        (["sid=a", "sid=b"], "b"), (["sid=a", "sid=; Max-Age=0"], None), (["sid=; Max-Age=0", "sid=a"], "a"),
        (["sid=a; Path=/", "sid=; path=/old; Max-Age=0"], "a"), (["sid=a; Domain=.x.org", "sid=;domain=X.ORG"], None),
        (["sid=a; Path=/", "sid=; Max-Age=0"], None),
        (["other=a"], None), (["sid=a; Path=/", "sid=b; Path=/new", "sid=c; Path=/"], "c"),
    ],
)  # fmt: skip
def test_the_last_cookie_of_its_name_counts_that_is_not_deleted(cookies: list[str], value: str | None) -> None:
    """A deletion is one of the same path and domain."""
    assert answer(cookies=tuple(cookies)).cookie("sid") == value


def test_the_end_of_a_cookie_is_judged_by_the_clock_of_its_server() -> None:
    """Ours counts where the server says no time."""
    cookies = ("sid=a; Expires=Fri, 02 Jan 2026 00:00:00 GMT",)
    assert answer(cookies=cookies).cookie("sid") == "a"
    assert answer(cookies=cookies, date=datetime(2026, 1, 3, tzinfo=UTC)).cookie("sid") is None
