"""Targets of sinks: no two sinks share a file, and no sink writes a file that tokend uses."""

from pathlib import Path

import pytest

from tests.config.written import CA_PEM, PARTNER, TT, WALLET, loaded, only, refused, written


def sink(provider: str, kind: str, path: str, more: str = "") -> str:
    return f'[[providers.{provider}.sinks]]\nkind = "{kind}"\npath = "{path}"\n{more}\n'


JSON_A_B = 'format = "json"\nset = { "/a/b" = "x" }'


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("raw", "out", ""), ("json", "out", "")),
        (("raw", "out", ""), ("raw", "./sub/../out", "")),
        (("raw", "out", ""), ("raw", "link/out", "")),
        (("raw", "out", ""), ("dotenv", "out", 'key = "A"')),
        (("dotenv", "out", 'key = "A"'), ("raw", "out", "")),
        (("dotenv", "out", 'key = "A"'), ("dotenv", "out", 'key = "A"')),
        (("dotenv", "out", 'key = "A"\nexpires_key = "B"'), ("dotenv", "out", 'key = "B"')),
        (("dotenv", "out", 'key = "A"'), ("dotenv", "out", 'key = "C"\nexpires_key = "A"')),
        (("raw", "out", ""), ("patch", "out", JSON_A_B)),
        (("patch", "out", JSON_A_B), ("template", "out", 'template = "x"')),
        (("patch", "out", JSON_A_B), ("patch", "link/out", JSON_A_B)),
        (("patch", "out", JSON_A_B), ("patch", "out", 'format = "json"\nset = { "/a" = "x" }')),
        (("patch", "out", JSON_A_B), ("patch", "out", 'format = "json"\nset = { "/a/b/c" = "x" }')),
        (("patch", "out", JSON_A_B), ("patch", "out", 'format = "netrc"\nset = { "/c/login" = "x" }')),
        (("patch", "out", JSON_A_B), ("dotenv", "out", 'key = "C"')),
        (("dotenv", "out", 'key = "a"'), ("patch", "out", JSON_A_B)),
    ],
)
def test_two_sinks_on_one_file_are_an_error_that_names_the_first(
    tmp_path: Path, first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    """Also by another spelling, through a linked directory, with one key in both or one within the other's, and of
    two formats."""
    (tmp_path / "link").symlink_to(tmp_path)
    text = PARTNER + sink("partner", *first) + TT + sink("tt", *second)
    path = written(tmp_path, text)
    problem = only(refused(path))
    lines = [number for number, line in enumerate(text.split("\n"), 1) if line.startswith("path")]
    assert problem.line == lines[1]
    assert problem.message.endswith(f"is written by another sink already: {path}:{lines[0]}")


def test_dotenv_sinks_with_different_keys_share_a_file(tmp_path: Path) -> None:
    """Many providers can write into one .env file."""
    text = PARTNER + sink("partner", "dotenv", ".env", 'key = "A"\nexpires_key = "A_END"')
    loaded(written(tmp_path, text + TT + sink("tt", "dotenv", ".env", 'key = "B"')))


def test_patch_sinks_with_keys_apart_share_a_file(tmp_path: Path) -> None:
    """Keys of one table are apart; equal beginnings of names mean nothing."""
    text = PARTNER + sink("partner", "patch", "c.json", JSON_A_B)
    loaded(written(tmp_path, text + TT + sink("tt", "patch", "c.json", 'format = "json"\nset = { "/a/bc" = "x" }')))


def test_one_sink_cannot_use_a_key_twice(tmp_path: Path) -> None:
    """Otherwise the expiry would overwrite the token."""
    problem = only(refused(written(tmp_path, PARTNER + sink("partner", "dotenv", "x", 'key = "A"\nexpires_key = "A"'))))
    assert problem.message == "expires_key: key and expires_key are the same"


def test_a_third_sink_is_an_error_of_its_own(tmp_path: Path) -> None:
    """Each further sink is an error that names the first sink."""
    text = PARTNER + sink("partner", "raw", "x") * 3
    assert [p.line for p in refused(written(tmp_path, text))] == [10, 14]


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("config.toml", "the configuration"),
        ("conf.d/more.toml", "the configuration"),
        ("tokend.sock", "tokend's socket"),
        ("state/deep/token", "inside the state directory"),
        ("key", "read by tokend (key)"),
        ("ca.pem", "read by tokend (ca_file)"),
        ("a.j2", "read by tokend (template_file)"),
    ],
)
def test_a_token_is_not_written_over_what_tokend_lives_on(tmp_path: Path, target: str, what: str) -> None:
    """A sink must not write tokend's configuration, socket, state or secrets."""
    written(tmp_path, "obviously fake", name="key")
    written(tmp_path, CA_PEM, name="ca.pem")
    written(tmp_path, PARTNER, name="conf.d/more.toml")
    text = 'include = ["conf.d/*.toml"]\n[daemon]\nsocket = "tokend.sock"\nstate_directory = "state"\n'
    text += WALLET.replace('key = { env = "KEY" }', 'key = { file = "key" }') + TT + 'ca_file = "ca.pem"\n'
    text += sink("tt", "template", "other", 'template_file = "a.j2"') + sink("tt", "raw", target)
    problem = only(refused(written(tmp_path, text)))
    assert problem.message.endswith(f"{target} is {what}: a token must not be written there")


def test_a_socket_is_a_target_too(tmp_path: Path) -> None:
    """A socket sink must not share its path with a file, with another socket sink, or with tokend's own sockets."""
    text = PARTNER + sink("partner", "socket", "x") + TT + sink("tt", "socket", "x")
    assert "is written by another sink already" in only(refused(written(tmp_path, text))).message
    daemon = '[daemon]\nsocket = "a.sock"\ncredentials_socket = "c.sock"\n'
    for path, what in (("a.sock", "tokend's socket"), ("c.sock", "tokend's socket for credentials")):
        problem = only(refused(written(tmp_path, daemon + PARTNER + sink("partner", "socket", path))))
        assert problem.message.endswith(f"is {what}: a token must not be written there")


def test_the_two_sockets_of_the_daemon_lie_apart(tmp_path: Path) -> None:
    """The paths differ, and the kernel accepts each of them."""
    for second, what in (("a.sock", "two sockets cannot have one path"), ("x" * 120, "the kernel allows 107 bytes")):
        text = f'[daemon]\nsocket = "a.sock"\ncredentials_socket = "{second}"\n'
        problem = only(refused(written(tmp_path, text)))
        assert (problem.line, what in problem.message) == (3, True)


def test_the_other_tokens_of_a_template_have_to_be_there_and_be_kept(tmp_path: Path) -> None:
    """All wrong names are reported at once, each at its place.

    A provider whose own table has errors counts as configured.
    """
    more = 'template = ""\ntokens = ["partner", "pratner", "wallet", "tt"]'
    text = PARTNER + sink("partner", "template", "x", more) + WALLET + TT.replace("api_key", "apikey")
    problems = refused(written(tmp_path, text))
    lines = text.split("\n")
    told = [
        (lines[p.line - 1][p.column - 1 :].split(",")[0], p.message) for p in problems if "tokens" in lines[p.line - 1]
    ]
    assert told == [
        ('"pratner"', 'there is no provider "pratner"; did you mean "partner"?'),
        ('"wallet"', "wallet is issued on demand: there is no token of it to write"),
    ]
    loaded(written(tmp_path, PARTNER + sink("partner", "template", "x", 'template = ""\ntokens = ["tt"]') + TT))


@pytest.mark.parametrize("kind", ['raw"\npath = "out', 'json"\npath = "out', 'dotenv"\nkey = "A"\npath = "out'])
@pytest.mark.parametrize("mode", ["0640", "0660", "0610"])
def test_rights_of_a_group_need_the_groups_name(tmp_path: Path, kind: str, mode: str) -> None:
    """The daemon's own group has every client as a member. At a start it is a warning: the file gets another group."""
    table = f'[[providers.partner.sinks]]\nkind = "{kind}"\nmode = "{mode}"\n'
    path = written(tmp_path, PARTNER + table)
    message = f'mode {mode} gives rights to a group, and none is named: add group = "…", or use mode "0600"'
    assert only(refused(path)).message == message
    assert message in [one.message for one in loaded(path, starting=True).warnings]
    loaded(written(tmp_path, PARTNER + table + 'group = "daemon"\n'))


def test_the_group_of_a_socket_need_not_be_named(tmp_path: Path) -> None:
    """`access` decides about each connection."""
    loaded(written(tmp_path, PARTNER + '[[providers.partner.sinks]]\nkind = "socket"\npath = "out"\nmode = "0660"\n'))


READ = '[providers.renewed]\nkind = "file"\npath = "in/token"\n'
EVERY_KIND = [
    ("raw", ""),
    ("json", ""),
    ("dotenv", 'key = "A"'),
    ("patch", JSON_A_B),
    ("template", 'template = "x"'),
    ("socket", ""),
]


@pytest.mark.parametrize(("kind", "more"), EVERY_KIND)
@pytest.mark.parametrize("path", ["in/token", "link/token", "in/link"])
def test_a_token_is_not_read_from_what_a_sink_writes(tmp_path: Path, kind: str, more: str, path: str) -> None:
    """tokend would renew its own token with itself: whose sink it is does not matter, and neither do links."""
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "in" / "link").symlink_to("token")
    for text in (READ + sink("renewed", kind, path, more), READ + PARTNER + sink("partner", kind, path, more)):
        problem = only(refused(written(tmp_path, text)))
        assert problem.message.endswith(f"{path} is read by tokend (path): a token must not be written there")
    loaded(written(tmp_path, READ + sink("renewed", kind, "in/other", more)))


@pytest.mark.parametrize("has_written", [False, True])
@pytest.mark.parametrize("path", ["out/token", "out/..data/token", "link/token", "mine"])
def test_a_token_is_not_read_from_a_directory_that_a_sink_writes(tmp_path: Path, path: str, has_written: bool) -> None:
    """Before its first write and afterwards, when the name is a link into the present set."""
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "mine").symlink_to("out/token")
    if has_written:
        (tmp_path / "out" / "..2026").mkdir()
        (tmp_path / "out" / "..2026" / "token").write_text("fake-token")
        (tmp_path / "out" / "..data").symlink_to("..2026")
        (tmp_path / "out" / "token").symlink_to("..data/token")
    text = READ.replace("in/token", path) + sink(
        "renewed", "directory", "out", 'files = { token = "{{ access_token }}" }'
    )
    problem = only(refused(written(tmp_path, text)))
    assert "out is the directory of " in problem.message
    assert problem.message.endswith(", read by tokend (path): a token must not be written there")
    (tmp_path / "out" / "other").write_text("fake-other")
    loaded(written(tmp_path, text.replace(f'"{path}"', '"out/other"')))


def test_a_name_that_a_sink_will_make_a_link_of_its_own_is_not_read(tmp_path: Path) -> None:
    """Now it leads elsewhere. The sink's first write replaces the link."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "token").symlink_to("../elsewhere")
    text = READ.replace("in/token", "out/token")
    text += sink("renewed", "directory", "out", 'files = { token = "{{ access_token }}" }')
    assert "out is the directory of " in only(refused(written(tmp_path, text))).message
