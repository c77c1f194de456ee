"""Excerpts: the faulty line with a caret, without its secrets."""

from pathlib import Path

import pytest

from tests.config.written import AUTH_TOKEN, PARTNER, PROJECTX, TT, only, refused, written

PLANTED = "hunter2-obviously-fake"


def shown(tmp_path: Path, text: str, number: int = 0) -> list[str]:
    """Return excerpt and caret of the only error."""
    return str(refused(written(tmp_path, text))[number]).split("\n")[1:]


def test_a_public_value_is_shown_and_the_caret_stands_below_its_key(tmp_path: Path) -> None:
    """The excerpt has four spaces, the line as it is, and a caret."""
    assert shown(tmp_path, PARTNER + 'ttl = "5"\n') == ['    ttl = "5"', "    ^"]
    assert shown(tmp_path, PARTNER + 'ttl = "5"  # an old one\n') == ['    ttl = "5"', "    ^"]
    assert shown(tmp_path, PARTNER + '  claims.a = 1\n  ttl = "5"   \n') == ['      ttl = "5"', "      ^"]


def test_an_unknown_key_is_shown_with_its_value_if_it_nearly_is_a_public_one(tmp_path: Path) -> None:
    """refresh_befor can only be refresh_before. The value of a key that may hold a secret is masked."""
    assert shown(tmp_path, TT + 'refresh_befor = "10m"\n')[0].strip() == 'refresh_befor = "10m"'
    for key in ("api_secre", "client_secret", "password", "tokn", "xyz", "client_crt_key"):
        assert shown(tmp_path, TT + f'{key} = "{PLANTED}"\n')[0].strip() == f'{key} = "…"'


def test_inside_tables_only_the_offending_value_is_shown(tmp_path: Path) -> None:
    """The caret's position allows for the values masked before it."""
    text = f'providers.a = {{ kind = "jwt", secret = "{PLANTED}", tttl = 1, ttl = "5" }}\n'
    assert shown(tmp_path, text) == [
        '    providers.a = { kind = "…", secret = "…", tttl = 1, ttl = "…" }',
        "                                              ^",
    ]
    assert shown(tmp_path, text, 1) == [
        '    providers.a = { kind = "…", secret = "…", tttl = …, ttl = "5" }',
        "                                                        ^",
    ]


def test_where_a_secret_is_may_be_shown_but_not_what_may_be_one(tmp_path: Path) -> None:
    """env, file and credential are places and may be shown. A misspelt key may hold a secret."""
    text = AUTH_TOKEN.replace('{ env = "KEY" }', f'{{ env = "KEY", fil = "{PLANTED}" }}')
    assert shown(tmp_path, text)[0].strip() == 'client_secret = { env = "KEY", fil = "…" }'
    text = AUTH_TOKEN.replace('{ env = "KEY" }', f'{{ env = "KEY", command = ["{PLANTED}"] }}')
    assert shown(tmp_path, text)[0].strip() == 'client_secret = { env = "KEY", command = ["…"] }'


@pytest.mark.parametrize(
    "lines",
    [
        'secret = """\nPLANTED\nPLANTED""", tttl = 1 }',
        "secret = '''\nPLANTED=\n''', tttl = 1 }",
        'headers = { X-Key = "PLANTED", "bad name" = "PLANTED" }, secret = { env = "KEY" } }',
        'claims = { password = "PLANTED", iat = "PLANTED" }, secret = { env = "KEY" } }',
        'secret = { env = "KEY" }, ttl = "5" } # once it was PLANTED',
    ],
)
def test_nothing_beside_the_offending_value_is_shown(tmp_path: Path, lines: str) -> None:
    """Ends of strings, free tables and comments may hold secrets."""
    text = 'providers.a = { kind = "jwt", ' + lines.replace("PLANTED", PLANTED) + "\n"
    problems = refused(written(tmp_path, text))
    assert PLANTED not in "\n".join(map(str, problems))
    assert all(problem.excerpt for problem in problems)


@pytest.mark.parametrize(
    "line",
    [
        f'base_url = "https://user:{PLANTED}@host"',
        f'base_url = "user:{PLANTED}@host"',
        f'proxy = "ftp://user:{PLANTED}@host:1"',
        f'proxy = "user {PLANTED}"',
        f'initial_token = "{PLANTED}"\nunknown = 1',
        f'initial_token = {{ literal = "{PLANTED}" }}',
        f'initial_token = {{ env = "KEY", encoding = "{PLANTED}" }}',
    ],
)
def test_passwords_in_urls_and_literals_are_not_shown(tmp_path: Path, line: str) -> None:
    """They are masked even if their own line is wrong. (An encoding is a public word and may be shown.)"""
    problems = refused(written(tmp_path, PROJECTX + line + "\n"))
    assert (PLANTED in "\n".join(map(str, problems))) == ("encoding" in line)


def test_a_caret_is_right_behind_tabs_and_wide_characters(tmp_path: Path) -> None:
    """A tab is shown as one space. An ideograph takes two cells, a combining character none."""
    text = PARTNER + '\tclaims."日本é" = 1\n\theaders = { "日本e\u0301" = "x", ok = 5 }\n'
    excerpt, caret = shown(tmp_path, text, 1)
    assert excerpt == '     headers = { "日本e\u0301" = "…", ok = … }'
    assert caret == " " * (4 + 1 + len('headers = { "') + 4 + 1 + len('" = "…", ')) + "^"


def test_a_long_line_is_cut_around_the_place(tmp_path: Path) -> None:
    """The excerpt fits a terminal, and the caret is below the right character."""
    users = ", ".join(f'"user-{number}"' for number in range(200))
    excerpt, caret = shown(tmp_path, PARTNER + f"access = {{ users = [{users}, 7, {users}] }}\n")
    assert len(excerpt) < 125
    assert excerpt.startswith("    …")
    assert excerpt.endswith("…")
    assert excerpt[caret.index("^")] == "7"


def test_control_characters_reach_no_terminal(tmp_path: Path) -> None:
    """A key may contain an escape sequence or a line end. Message and excerpt are one line each."""
    problem = only(refused(written(tmp_path, PARTNER + '"a\\n\\u001b[31m" = 1\n')))
    assert problem.headline.isprintable()
    assert 'unknown key "a??[31m"' in problem.message
    assert len(str(problem).split("\n")) == 3


def test_an_item_of_an_array_over_several_lines_is_pointed_at(tmp_path: Path) -> None:
    """The error has the line and the column of the item."""
    problem = only(refused(written(tmp_path, PARTNER + 'access.users = [\n  "a",\n  "b", 5,\n]\n')))
    assert (problem.line, problem.column) == (6, 8)
    assert str(problem).split("\n")[1:] == ['      "b", 5,', "           ^"]
