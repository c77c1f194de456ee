"""Messages about invalid TOML: the place where a person would look, a helpful sentence, no secret."""

from pathlib import Path

import pytest

from tests.config.written import PARTNER, only, refused, written

PLANTED = "hunter2-obviously-fake"


@pytest.mark.parametrize(
    ("text", "place", "message", "excerpt"),
    [
        ("[daemon]\nsocket_mode = 0660\n", (2, 16), 'text stands in quotes: "0640"', "socket_mode = 0660"),
        ('[providers.a]\r\nkind = "jwt"\r\nttl = 5m\r\n', (3, 8), "text stands in quotes", "ttl = 5m"),
        ('[daemon]\nsocket = "/x\n', (2, 13), "not closed on its line", 'socket = "/x'),
        ("[daemon]\nlog_level = error\n", (2, 13), "text stands in quotes", "log_level = error"),
        ("[providers.a]\nrequired = True\n", (2, 12), "written in lower case", "required = True"),
        ("[daemon\n", (1, 8), "header ends with ]", "[daemon"),
        ("[[providers.a.sinks]\n", (1, 20), "ends with ]]", "[[providers.a.sinks]"),
        ('[daemon]\nsocket "/x"\n', (2, 8), "followed by =", "…"),
        ("[daemon]\n= 5\n", (2, 1), "neither key = value nor a [table]", "…"),
        ('[providers.a]\nkind = "a\\q"\n', (2, 12), "a backslash", "kind = …"),
        ('[daemon]\nadmins = ["a"\nsocket = "/x"\n', (3, 1), "an array is not closed", 'socket = "/x"'),
        ('[daemon]\nadmins = ["a",\n', (2, 1), "no value", "admins = …"),
        ('[providers.a]\nsecret = """\nabc\n', (2, 1), "opened here and never closed", "secret = …"),
        ('[providers.a]\nsecret = { env = "A",\n', (2, 22), "no key", "secret = …"),
        ('[providers.a]\nsecret = { env = "A", }\n', (2, 23), "no comma behind it", "secret = …"),
        ('[providers.a]\nsecret = { env = "A" "B" }\n', (2, 22), "inline table is not closed", "secret = …"),
        ("[daemon]\n[providers.a]\n[daemon]\n", (3, 1), "this table is there already, in line 1", "[daemon]"),
        ("[providers.a]\n[providers . 'a'] # x\n", (2, 1), "already, in line 1", "[providers . 'a']"),
        ('[daemon]\nsocket = "/x"\n  socket = "/y"\n', (3, 3), "this key is there already", 'socket = "/y"'),
        ("daemon = { }\n[daemon]\n", (2, 1), "this table is there already", "[daemon]"),
        ("daemon = { }\ndaemon.kind = 1\n", (2, 1), "it cannot be added to", "daemon.kind = 1"),
        ("[daemon]\nlog_level = 2024-02-30\n", (2, 13), "no such date or time", "log_level = 2024-02-30"),
        ('[daemon]\nsocket = "\\uXYZW"\n', (2, 13), "no hexadecimal number", "socket = …"),
        ("[daemon]\nsocket = '/\x01'\n", (2, 12), "a control character", "socket = …"),
    ],
)
def test_each_mistake_has_its_place_and_its_sentence(
    tmp_path: Path, text: str, place: tuple[int, int], message: str, excerpt: str
) -> None:
    """Line, column, message, and the part of the line that surely holds no secret."""
    problem = only(refused(written(tmp_path, text)))
    assert (problem.line, problem.column) == place
    assert problem.message.startswith("not TOML: ")
    assert message in problem.message
    assert problem.excerpt.strip() == excerpt


@pytest.mark.parametrize(
    "text",
    [
        'api_key = "PLANTED\n',
        'api_key = "PLANTED" x\n',
        "api_key = PLANTED\n",
        "PLANTED = x\n",
        'PLANTED "x"\n',
        'kind = "PLANTED\n'.replace("kind", "passwort"),
        'secret = """\nPLANTED==\n',
        'secret = """\n[PLANTED]\n\\q"""\n',
        'secret = """\nPLANTED= 5\\q"""\n',
        'kind = { "PLANTED" = 1, "PLANTED" = 2 }\n',
        'ttl = "5m" # PLANTED\nttl = "6m" # PLANTED\n',
        'base_url = "https://u:PLANTED@h" x\n',
        'proxy = "PLANTED\n',
        "[PLANTED\n",
    ],
)
def test_a_line_that_cannot_be_understood_shows_no_secret(tmp_path: Path, text: str) -> None:
    """The line may be part of a PEM key, and its base64 may look like a TOML key."""
    problem = only(refused(written(tmp_path, "[providers.a]\n" + text.replace("PLANTED", PLANTED))))
    assert PLANTED not in str(problem)
    assert problem.excerpt


def test_a_byte_order_mark_is_no_mistake_and_moves_no_column(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    problem = only(refused(written(tmp_path, "\ufeffdaemon = 5 x\n")))
    assert (problem.line, problem.column) == (1, 12)
    assert "ttl" in only(refused(written(tmp_path, "\ufeff" + PARTNER + "ttl = 5\n"))).message


def test_bytes_that_are_no_utf8_are_named_by_place(tmp_path: Path) -> None:
    """The error has line and column but not the byte."""
    problem = only(refused(written(tmp_path, b'a = 1\nb = "\xc3\xa4\xff"\n')))
    assert (problem.line, problem.column, problem.excerpt) == (2, 7, "")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 20_000,
        "a = " + "[" * 60 + "]" * 60,
        "a = " + "{ a = " * 60 + "1" + " }" * 60,
        "a" + ".a" * 60 + " = 1",
        "a = " + "1" * 5000,
        '[providers.a]\nkind = "jwt"\nsecret = { env = "KEY" }\nclaims' + ".a" * 3000 + " = 1",
    ],
)
def test_what_nobody_means_is_refused_without_a_crash(tmp_path: Path, text: str) -> None:
    """Thousands of brackets overflow the parser's stack; thousands of digits overflow the conversion."""
    problem = only(refused(written(tmp_path, text)))
    assert problem.line == 1
    assert "nested deeper" in problem.message or "not acceptable TOML" in problem.message


@pytest.mark.parametrize("line", [f'literal = "{PLANTED}', f"literal = {PLANTED}", f"literal = '{PLANTED}"])
def test_a_key_that_a_secret_s_table_has_not_got_is_not_shown(tmp_path: Path, line: str) -> None:
    """A value after ``literal =`` is the secret itself."""
    problem = only(refused(written(tmp_path, f'[providers.a]\nkind = "jwt"\n[providers.a.secret]\n{line}\n')))
    assert problem.line == 4
    assert PLANTED not in str(problem)
