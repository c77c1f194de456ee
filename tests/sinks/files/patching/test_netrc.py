"""netrc: one word changes; Python's reader, and curl's in tests/behaviour/readers, find the others as before."""

import netrc
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sinks.files.patching.edits import NEWLINES, OLD, pointer_to, removed_from, set_in
from tokend.sinks.files.patching import netrc as form
from tokend.sinks.files.patching.pointer import parse_pointer
from tokend.sinks.files.patching.problems import UneditableError, UnencodableError
from tokend.sinks.files.patching.value import Value

HOSTS = st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True).filter(
    lambda host: host not in {"machine", "default", "macdef", "login", "user", "account", "password"}
)
WORDS = st.sampled_from(["me", '"two words"', '"a\\"b"', "x#y", "machine"])
BLANKS = st.sampled_from([" ", "\n  ", "\n\t", "  "])
BETWEEN = st.sampled_from(["\n", "\n\n", "\n# machine no login no\n"])
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.just("é"), min_size=1, max_size=8)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, str]:
    """The machine whose password is `OLD`, and a document with it."""
    hosts = draw(st.lists(HOSTS, min_size=1, max_size=4, unique=True))
    chosen, text = (
        draw(st.integers(0, len(hosts) - 1)),
        draw(st.sampled_from(["", "# mine\n", "macdef init\n  machine no\n\n"])),
    )
    for index, host in enumerate(hosts):
        blank = draw(BLANKS)
        words = [f"machine {host}", f"login {draw(WORDS)}"]
        words += [f"password {OLD if index == chosen else draw(WORDS)}"]
        if draw(st.booleans()):
            words.insert(draw(st.integers(1, 3)), f"account {draw(WORDS)}")
        text += blank.join(words) + draw(BETWEEN)
    text += draw(st.sampled_from(["", "default login anybody\n"]))
    return hosts[chosen], (text.rstrip("\n") if draw(st.booleans()) else text).replace("\n", draw(NEWLINES))


def read(text: str) -> dict[str, tuple[str, str | None, str | None]]:
    with tempfile.NamedTemporaryFile("w", newline="") as file:
        file.write(text)
        file.flush()
        return dict(netrc.netrc(file.name).hosts)


@settings(deadline=None, max_examples=60)
@given(documents(), TEXTS)
def test_only_the_password_changes_in_any_document(document: tuple[str, str], value: str) -> None:
    """All other characters stay; and the old one put back gives the old file."""
    host, text = document
    if re.search(OLD + r"\s*\n\s*#", text) and not re.fullmatch(r'[^"#\\\s][^\\\s]*', value):
        with pytest.raises(UneditableError, match="a comment stands below"):
            form.edit(text, pointer_to(host, "password"), Value(value))
        return
    after = form.edit(text, pointer_to(host, "password"), Value(value))
    begin, end = text.index(OLD), len(text) - text.index(OLD) - len(OLD)
    assert after.startswith(text[:begin])
    assert after.endswith(text[len(text) - end :])
    wanted = read(text)
    wanted[host] = (*wanted[host][:2], value)
    assert read(after) == wanted
    assert form.edit(after, pointer_to(host, "password"), Value(OLD)) == text


@settings(deadline=None, max_examples=60)
@given(documents(), HOSTS, TEXTS)
def test_a_machine_that_was_added_is_found_before_the_default(document: tuple[str, str], host: str, value: str) -> None:
    """Readers look no further behind it."""
    _, text = document
    wanted = read(text)
    if host in wanted:
        return
    after = form.edit(text, pointer_to(host, "login"), Value(value))
    after = form.edit(after, pointer_to(host, "password"), Value(value))
    wanted[host] = (value, "", value)
    assert read(after) == wanted
    assert "default" not in wanted or list(read(after))[-1] == "default"


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        ("", "/h/login", "machine h login x\n"),
        ("machine h login me password old\n", "/h/password", "machine h login me password x\n"),
        ("machine h user old", "/h/login", "machine h user x"),
        (
            "machine h\r\n  login me # c\r\n\r\nmachine b",
            "/h/password",
            "machine h\r\n  login me # c\r\n  password x\r\n\r\nmachine b",
        ),
        ("machine h login me", "/h/password", "machine h login me password x"),
        ("machine a login b\ndefault login c\n", "/h/login", "machine a login b\nmachine h login x\ndefault login c\n"),
        ("machine a login b default", "/h/login", "machine a login b machine h login x\ndefault"),
        ("macdef m\n  ls\n", "/h/login", "macdef m\n  ls\n\nmachine h login x\n"),
        ("macdef m\n  machine h login no\n\n", "/h/login", "macdef m\n  machine h login no\n\nmachine h login x\n"),
        ("# machine h login no", "/h/login", "# machine h login no\nmachine h login x"),
    ],
)
def test_what_is_missing_is_made(text: str, pointer: str, after: str) -> None:
    """In lines of its own where the others have some."""
    assert set_in(form, text, pointer, "x") == after


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        ("machine h login me password old\n", "/h/password", "machine h login me\n"),
        ("machine h\n  login me # c\n  password old # d\n", "/h/password", "machine h\n  login me # c\n  # d\n"),
        ("machine h\n  password old\n  login me\n", "/h/password", "machine h\n  login me\n"),
        ("machine h\npassword old login me", "/h/password", "machine h\nlogin me"),
        ("machine h login me", "/h/password", "machine h login me"),
        ("", "/h/password", ""),
    ],
)
def test_exactly_the_word_is_taken_away(text: str, pointer: str, after: str) -> None:
    """With its keyword; the machine and comments stay."""
    assert removed_from(form, text, pointer) == after


@pytest.mark.parametrize(
    ("value", "written"),
    [("a.b-c=", "a.b-c="), ("a b", '"a b"'), ('"a', '"\\"a"'), ("a\\b", '"a\\\\b"'), ("#a", '"#a"'), ('a"b#', 'a"b#')],
)
def test_a_value_is_quoted_where_readers_need_it(value: str, written: str) -> None:
    """And only there: older readers know no quotes."""
    assert set_in(form, "", "/h/password", value) == f"machine h password {written}\n"


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "\x7f", "a\u00a0b"])
def test_a_value_that_readers_read_differently_is_refused(value: str) -> None:
    """Control characters, and blanks that are none for everybody."""
    with pytest.raises(UnencodableError, match="it holds"):
        form.edit("", parse_pointer("/h/password"), Value(value))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("planted", "line 1, column 1: machine, default, login"),
        ("machine h planted x", "line 1, column 11: machine, default, login"),
        ("login planted", "line 1, column 1"),
        ("machine h\n  login", "line 2, column 3: nothing stands behind this keyword"),
        ('machine h login "planted\n', "line 1, column 17: a quote is not closed in its line"),
        ("machine h login a\nmachine h login b", "/h is there 2 times"),
        ("machine h login a user b", "/h/login is there 2 times"),
    ],
)
def test_a_file_that_cannot_be_edited_is_named_by_its_place(text: str, told: str) -> None:
    """Its content is not quoted."""
    with pytest.raises(UneditableError) as refused:
        set_in(form, text, "/h/login", "x")
    assert told in str(refused.value)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    "pointer", ["/h", "/h/account", "/h/login/x", "//login", "/a b/login", '/"h/login', "/#h/login"]
)
def test_a_pointer_that_netrc_cannot_carry_is_refused(pointer: str) -> None:
    """Before any file is read."""
    with pytest.raises(ValueError, match=r"netrc|the name of"):
        form.check_pointer(parse_pointer(pointer))


def test_the_test_reads_as_python_does(tmp_path: Path) -> None:
    """The reader of these tests is the real one."""
    assert read("machine a login b password c\n") == {"a": ("b", "", "c")}
