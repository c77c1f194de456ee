"""The `.env` format, pure: what is written, what is refused, and that an edit touches nothing but its values."""

import io
import logging

import pytest
from dotenv import dotenv_values
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.sinks.files.dotenv_values import values
from tests.sinks.leases import PLANTED
from tokend.sinks.files.dotenv_format import MOST_ASSIGNMENTS, Style, UneditableError, UnencodableError, edit, encode

# What python-dotenv says about lines that it cannot read.
logging.getLogger("dotenv.main").disabled = True


def read(content: bytes, *, interpolate: bool = True) -> dict[str, str | None]:
    """As python-dotenv reads a file."""
    return dict(dotenv_values(stream=io.StringIO(content.decode(), newline=""), interpolate=interpolate))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (PLANTED, PLANTED),  # rule 2
        ("", ""),
        ("a=b==", "a=b=="),
        ("a:b", "a:b"),
        ("a~b", "a~b"),
        ("x/y+z@h%2C,^-._0", "x/y+z@h%2C,^-._0"),
        ("=a", "'=a'"),  # rule 4
        ("~a", "'~a'"),
        ("a:~b", "'a:~b'"),
        ("a:=b", "'a:=b'"),
        ("a=~b", "'a=~b'"),
        ("a b", "'a b'"),
        ("a\tb", "'a\tb'"),
        ('a"b', "'a\"b'"),
        ("a#b", "'a#b'"),
        ("a`b", "'a`b'"),
        ("a\\b", "'a\\b'"),
        ("é", "'é'"),
        ("٣", "'٣'"),
        ("it's", '"it\'s"'),  # rule 5
        ("it's #1", '"it\'s #1"'),
    ],
)
def test_a_value_is_written_by_the_first_rule_that_fits(value: str, written: str) -> None:
    """docs/sinks.md, rules 2, 4 and 5, exactly; the styles differ in $ alone."""
    assert encode(value, "portable") == written
    assert encode(value, "quoted") == written


@pytest.mark.parametrize(
    "value",
    [
        "a\nb", "a\rb", "\0", "\x7f", "\x85", "\x1b[0m", "a\u2028b", "a\u2029b", "\ufeffa", "\ufdd0", "\ufdef",
        "\uffff", "\U0001fffe", "\ud800",
    ],
)  # fmt: skip
@pytest.mark.parametrize("style", ["portable", "quoted", "posix", "raw"])
def test_what_no_env_file_can_carry_is_refused_in_every_style(value: str, style: Style) -> None:
    """Rule 1; and the refusal does not quote it."""
    with pytest.raises(UnencodableError) as refused:
        encode(f"planted-fake{value}", style)
    assert "planted-fake" not in str(refused.value)


@pytest.mark.parametrize(
    "value", ["a$b", "$", "it's $5", "a\\\\b", "a\\\\b it's", "it's a\\", 'it\'s "x"', "it's `x`", "a b\\"]
)
def test_what_readers_read_differently_is_refused(value: str) -> None:
    """Rules 3 and 6."""
    with pytest.raises(UnencodableError):
        encode(value, "portable")


def test_the_quoted_style_allows_a_dollar_but_no_expansion() -> None:
    """Rule 3, its exception; with an apostrophe besides there is no way left."""
    assert encode("a$b", "quoted") == "'a$b'"
    assert encode("$(x)", "quoted") == "'$(x)'"
    for value in ("a${b}", "it's $5"):
        with pytest.raises(UnencodableError):
            encode(value, "quoted")


def test_the_posix_style_quotes_everything_and_escapes_four() -> None:
    """``"`` ``\\`` ``$`` and the backtick."""
    assert encode("a", "posix") == '"a"'
    assert encode('a"b\\c$d`e', "posix") == '"a\\"b\\\\c\\$d\\`e"'


def test_the_raw_style_quotes_nothing() -> None:
    """But refuses what the next edit would cut in two: it could not know where the value ends."""
    for value in ("", "a b", "$x ${y}", 'a"b', "it's", "a#b", "#a", "'quoted'", "a=b", "\\"):
        assert encode(value, "raw") == value
    for value in (" a", "a ", "a #b", "a\t#b", "'open", '"open\\"', "`open"):
        with pytest.raises(UnencodableError):
            encode(value, "raw")


@given(value=values, style=st.sampled_from(["portable", "quoted"]))
def test_what_is_written_is_read_back_by_python_dotenv(value: str, style: Style) -> None:
    """With its default interpolation of ${…}."""
    try:
        written = encode(value, style)
    except UnencodableError:
        assume(False)
    assert read(edit(b"", {"KEY": written})) == {"KEY": value}


# ------------------------------------------------------------------ edits

# python-dotenv knows no backticks, and an escape where a shell has none.
SHELLS_ONLY = ["E=`tick\nKEY=inside`", "I='\\'"]
PIECES_BEFORE_KEY = ["KEY=", "export KEY=", "export\tKEY=", "  KEY=", "KEY = ", "\tKEY =\t", "'KEY'="]
KEY_VALUES = [
    *(
        "old",
        "'old'",
        '"old"',
        "`old`",
        "'o#l d'",
        '"o\\"ld"',
        "'o\nKEY=no\nld'",
        '"o\r\nKEY=no"',
        "o'ld",
        "a#b",
        "x=y",
    ),
    *("'it\\'s'", "'a'b", '"a"#b', '"a" b'),
]
KEY_ENDS = ["", " # comment", "\t# it's", "  ", " #"]
OTHERS = [
    *("", "# KEY=old", "#KEY=old", "A=1", "export B='two words'", "KEYS=1", "MY_KEY=2", "XKEY=3", "KEY_2=4", "key=5"),
    *("KEY.X=6", "C='multi\nKEY=inside\nline'", 'D="multi\r\nKEY=inside" # c', "F=it's", "G=a#b", "H= # empty"),
    *("KEY: old", "KEY: 'old'", 'J="a\\"b"', "  # indented", "K=", "L=x y z", "M='é'"),
    *SHELLS_ONLY,
]
NEW_VALUES = [PLANTED, "", "'two words'", '"it\'s"', "'a#b'"]


@st.composite
def files(draw: DrawFn) -> list[tuple[str, bool]]:
    """A file as (piece, is it a value of KEY) pairs; every line ends, the last one perhaps."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    pieces = [(draw(st.sampled_from(["", "\ufeff"])), False)]
    for is_key in draw(st.lists(st.booleans(), max_size=6)):
        if is_key:
            pieces.append((draw(st.sampled_from(PIECES_BEFORE_KEY)), False))
            pieces.append((draw(st.sampled_from(KEY_VALUES)), True))
            pieces.append((draw(st.sampled_from(KEY_ENDS)), False))
        else:
            pieces.append((draw(st.sampled_from(OTHERS)), False))
        pieces.append((newline, False))
    if draw(st.booleans()):
        pieces.pop()
    return pieces


@given(pieces=files(), new=st.sampled_from(NEW_VALUES))
def test_an_edit_replaces_every_value_and_leaves_every_other_byte(pieces: list[tuple[str, bool]], new: str) -> None:
    """In place: export, comments, CRLF, BOM, blanks, multi-line values; appended where there was none."""
    before = "".join(piece for piece, _ in pieces).encode()
    after = edit(before, {"KEY": new})
    if any(is_value for _, is_value in pieces):
        assert after == "".join(new if is_value else piece for piece, is_value in pieces).encode()
    else:
        assert after.startswith(before)
        newline = b"\r\n" if b"\r\n" in before else b"\n"
        ended = before in (b"", b"\xef\xbb\xbf") or before.endswith(b"\n")
        assert after[len(before) :] == (b"" if ended else newline) + b"KEY=" + new.encode() + newline


@given(pieces=files(), new=st.sampled_from(NEW_VALUES))
def test_after_an_edit_python_dotenv_reads_the_new_value_and_all_others_as_before(
    pieces: list[tuple[str, bool]], new: str
) -> None:
    """Also where it could not read the old one."""
    before = "".join(piece for piece, _ in pieces).encode()
    after = edit(before, {"KEY": new})
    assume(not any(piece in SHELLS_ONLY for piece, _ in pieces))
    was, now = read(before, interpolate=False), read(after, interpolate=False)
    assert now.pop("KEY") == read(b"X=" + new.encode())["X"]
    was.pop("KEY", None)
    assert now == was


@given(content=st.text(alphabet="KEYA='\"`#\\ \t\r\n$é", max_size=40).map(str.encode), new=st.sampled_from(NEW_VALUES))
def test_an_edit_is_idempotent_whatever_the_file_holds(content: bytes, new: str) -> None:
    """Or the file is refused: it never grows with each token."""
    try:
        once = edit(content, {"KEY": new})
    except UneditableError:
        return
    assert edit(once, {"KEY": new}) == once
    back = edit(edit(once, {"KEY": "other"}), {"KEY": new})
    assert len(back) <= len(once)  # shorter where blanks were all that stood behind the equals sign
    assert edit(back, {"KEY": new}) == back


@given(content=st.binary(max_size=60), new=st.sampled_from(NEW_VALUES))
def test_any_bytes_are_a_file(content: bytes, new: str) -> None:
    """Latin-1, binary rubbish: worked on as bytes."""
    try:
        once = edit(content, {"KEY": new})
    except UneditableError:
        return
    assert edit(once, {"KEY": new}) == once


@given(value=values)
def test_a_raw_value_is_found_again_as_a_whole(value: str) -> None:
    """Whatever stands behind it: the next token replaces all of it and nothing more."""
    try:
        written = encode(value, "raw")
    except UnencodableError:
        assume(False)
    rest = "B='x'\nC=\"y\" # `z`\n"
    first = edit(f"KEY=old\n{rest}".encode(), {"KEY": written})
    assert first == f"KEY={written}\n{rest}".encode()
    assert edit(first, {"KEY": "next"}) == f"KEY=next\n{rest}".encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"KEY=", b"KEY=new"),
        (b"KEY=   \n", b"KEY=new\n"),  # a shell would run what stands behind blanks
        (b"KEY= # comment\n", b"KEY=new # comment\n"),
        (b"KEY = # comment\n", b"KEY =new # comment\n"),
        (b"KEY=#comment?\n", b"KEY=new\n"),  # a value to shells, docker and python-dotenv
        (b"KEY=a\rB=2\r", b"KEY=new\rB=2\r"),
        (b"A=1\\", b"A=1\\\n\nKEY=new\n"),  # shells and systemd would join the lines
        (b"A=1\\\r\n", b"A=1\\\r\n\r\nKEY=new\r\n"),
        (b"# c \\\n\n", b"# c \\\n\nKEY=new\n"),
        (b"A='open\n", b"A='open\nKEY=new\n"),
        (b"\xff=\xfe\n", b"\xff=\xfe\nKEY=new\n"),
    ],
)
def test_what_stands_at_the_edges(before: bytes, after: bytes) -> None:
    """Found by thinking of readers: each of these was once wrong somewhere."""
    assert edit(before, {"KEY": "new"}) == after
    assert edit(after, {"KEY": "new"}) == after


def test_a_file_that_cannot_be_edited_is_refused_by_its_reason() -> None:
    """An open quote would swallow the value; UTF-16 would be destroyed."""
    with pytest.raises(UneditableError, match="no end"):
        edit(b"A='open\n", {"KEY": "'two words'"})
    for encoding in ("utf-16-le", "utf-16-be"):
        with pytest.raises(UneditableError, match="UTF-16"):
            edit("\ufeffKEY=old\n".encode(encoding), {"KEY": "new"})


def test_a_new_value_never_closes_a_quote_that_somebody_left_open() -> None:
    """The key behind it would be swallowed with the token in it, which no later edit would find again."""
    with pytest.raises(UneditableError, match="no end"):
        edit(b'A="open\nKEY=old\nKEY=\n', {"KEY": '"a b"'})
    # A bare value closes nothing.
    assert edit(b'A="open\nKEY=old\nKEY=\n', {"KEY": "new"}) == b'A="open\nKEY=new\nKEY=new\n'


def test_taking_away_appends_nothing() -> None:
    """Keys that are not there stay away."""
    assert edit(b"A=1\nKEY=old # c\n", {"KEY": "", "B": ""}, append=False) == b"A=1\nKEY= # c\n"
    assert edit(b"A=1", {"KEY": ""}, append=False) == b"A=1"
    assert edit(b"KEY = old\nKEY= old\n", {"KEY": ""}, append=False) == b"KEY = \nKEY= \n"
    assert edit(b"KEY = \nKEY= \n", {"KEY": ""}, append=False) == b"KEY = \nKEY= \n"


def test_a_file_with_too_many_assignments_is_not_edited() -> None:
    """Its owner may be somebody else, who would have a core kept busy."""
    most = b"A=1\n" * (MOST_ASSIGNMENTS - 1) + b"KEY=old\n"
    assert edit(most, {"KEY": "new"}).endswith(b"A=1\nKEY=new\n")
    with pytest.raises(UneditableError, match="it has more than 10000 assignments"):
        edit(b"B=1\n" + most, {"KEY": "new"})
