"""Secrets in a configuration: each is read once; literals cause a warning; no value is shown."""

import sys
from pathlib import Path

import pytest

from tests.config.written import AUTH_TOKEN, CLIENT_PEM, PARTNER, PROJECTX, TT, WALLET, loaded, only, refused, written

PLANTED = "hunter2-obviously-fake-and-more-than-32-bytes"


def with_secret(secret: str, table: str = PARTNER) -> str:
    return table.replace('{ env = "KEY" }', secret)


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ('{ env = "NOT_SET" }', "secret: environment variable NOT_SET is not set"),
        ('{ env = "EMPTY" }', "secret: environment variable EMPTY is empty"),
        ('{ env = "NEWLINE" }', "secret: environment variable NEWLINE is empty"),
        ('{ env = "PLANTED", encoding = "hex" }', "secret: environment variable PLANTED is not valid hex"),
        ('{ env = "PLANTED", encoding = "base64" }', "secret: environment variable PLANTED is not valid base64"),
        ('{ env = "PLANTED", encoding = "rot13" }', 'encoding: expected one of "text", "base64", "hex", "base32"'),
        ('{ env = "$KEY" }', "env: write the name of an environment variable, without $"),
        ('{ file = "./missing" }', "missing cannot be read: No such file or directory"),
        ('{ file = "." }', "cannot be read: it is a directory"),
        ('{ file = "/dev/null" }', "cannot be read: it is no regular file"),
        ('{ file = "./empty" }', "empty is empty"),
        ('{ file = "nul\\u0000" }', "file: a path is not empty and holds no NUL"),
        ('{ file = "~/key" }', "file: ~ is not expanded here"),
        ('{ credential = "nothing" }', "secret: credential nothing: $CREDENTIALS_DIRECTORY is not set"),
        ('{ credential = "../x" }', "secret: credential (not shown): "),
        ('{ command = [] }', "command: expected at least one item"),
        ('{ command = "cat /x" }', 'command: expected an array: ["…", "…"]; found a string'),
        ('{ enf = "KEY" }', 'keyring, mount, path, select, token, vault; did you mean "env"?'),
        ('{ literal = "x" }', "there is no key literal: a secret that stands here itself is a plain string"),
        ("{ }", "secret: a secret is exactly one of { env = }, { file = }"),
        ('{ env = "KEY", file = "x" }', "found env and file"),
        ("5", "secret: expected a table: { key = value }; found an integer"),
        ('""', "secret: literal in the configuration is empty"),
    ],
)  # fmt: skip
def test_what_is_no_secret_is_an_error_at_its_place(tmp_path: Path, secret: str, message: str) -> None:
    """An empty or unreadable secret is a configuration error, so that no request is ever sent with it."""
    written(tmp_path, "\n", name="empty")
    environ = {"EMPTY": "", "NEWLINE": "\n", "PLANTED": PLANTED + "!", "KEY": PLANTED}
    problem = only(refused(written(tmp_path, with_secret(secret)), environ=environ))
    assert message in problem.message
    assert problem.line == 3
    assert PLANTED not in str(problem)


def test_a_command_is_never_run_by_reading_a_configuration(tmp_path: Path) -> None:
    """`check` must be safe on any machine, and the command may be missing there."""
    trace = tmp_path / "ran"
    command = f'{{ command = ["{sys.executable}", "-c", "open({str(trace)!r}, \'w\')"] }}'
    config = loaded(written(tmp_path, with_secret(command) + with_secret('{ command = ["/nonexistent"] }', WALLET)))
    assert set(config.providers) == {"partner", "wallet"}
    assert not trace.exists()


def test_a_literal_is_warned_about_and_not_shown(tmp_path: Path) -> None:
    """A literal works. The warning names its place and the better form."""
    config = loaded(written(tmp_path, with_secret(f'"{PLANTED}"'), mode=0o640))
    [warning] = config.warnings
    assert (warning.line, warning.column) == (3, 1)
    assert warning.message.startswith("a secret stands in the file itself: use { file = }")
    assert warning.excerpt == 'secret = "…"'
    assert PLANTED not in repr(config)


def test_a_warning_of_a_kind_is_at_its_key_and_shows_no_value(tmp_path: Path) -> None:
    """Also where the header's name is that of a secret's place."""
    text = (
        '[providers.acme]\nkind = "http"\n[providers.acme.secrets]\nkey = { env = "KEY" }\n[providers.acme.request]\n'
        'method = "POST"\nurl = "https://api.example/x"\nquery = { q = "1", k = "{key}" }\n'
        'headers = { token = "planted" }\n[providers.acme.answer]\ntoken = "t"\nlifetime = "1h"\n'
    )
    found = [one for one in loaded(written(tmp_path, text)).warnings if one.code == "kind"]
    assert [(one.line, one.column, one.message.partition(":")[0]) for one in found] == [
        (8, 20, "request.query.k"), (9, 13, "request.headers.token"),
    ]  # fmt: skip
    assert not any("planted" in str(one) for one in found)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644])
def test_a_literal_in_a_file_that_others_can_open_is_an_error(tmp_path: Path, mode: int) -> None:
    """The mode's bits 0o007 decide. The error is reported beside other errors of the table."""
    text = with_secret(f'"{PLANTED}"') + "zzz = 1\n"
    messages = [p.message for p in refused(written(tmp_path, text, mode=mode))]
    messages = [one for one in messages if "unsafe path" not in one]  # of a file that others may write
    assert messages[0].startswith("a secret stands here and others can read this file: chmod 0600 it")
    assert messages[1].startswith('unknown key "zzz"')
    assert PLANTED not in "".join(messages)


def test_only_the_file_in_which_the_literal_stands_counts(tmp_path: Path) -> None:
    """A main file that everybody can read may include a file that only the daemon can read."""
    written(tmp_path, with_secret(f'"{PLANTED}"'), name="conf.d/partner.toml", mode=0o600)
    loaded(written(tmp_path, 'include = ["conf.d/*.toml"]\n', mode=0o644))
    written(tmp_path, with_secret(f'"{PLANTED}"'), name="conf.d/partner.toml", mode=0o644)
    assert only(refused(tmp_path / "config.toml")).file == str(tmp_path / "conf.d/partner.toml")


def test_a_proxy_s_password_is_a_literal_secret_too(tmp_path: Path) -> None:
    """A proxy's password in a file that others can read is an error."""
    text = PROJECTX + f'proxy = "http://user:{PLANTED}@proxy:1"\n'
    problem = only(refused(written(tmp_path, text, mode=0o644)))
    assert "password stands here and others can read" in problem.message
    assert PLANTED not in str(problem)
    assert PLANTED not in repr(loaded(written(tmp_path, text, mode=0o600)))


def test_every_unreadable_secret_is_reported(tmp_path: Path) -> None:
    """All unreadable secrets of all providers are reported."""
    text = with_secret('{ env = "NOT_SET" }', TT + PARTNER + AUTH_TOKEN)
    assert [p.message.split(":")[0] for p in refused(written(tmp_path, text))] == [
        "api_key", "api_secret", "secret", "client_secret",
    ]  # fmt: skip


def test_an_unreadable_secret_of_a_table_is_reported_beside_other_errors(tmp_path: Path) -> None:
    """`env` of a command, too: a table of secrets by names."""
    text = '[providers.gcloud]\nkind = "command"\ncommand = ["/bin/true"]\nzzz = 1\n'
    text += '[providers.gcloud.env]\nREGION = "eu"\nKEY = { env = "NOT_SET" }\n'
    found = [(problem.line, problem.message.partition(":")[0]) for problem in refused(written(tmp_path, text))]
    assert [(line, what.partition(";")[0]) for line, what in found] == [(4, 'unknown key "zzz"'), (7, "env.KEY")]


@pytest.mark.parametrize(
    ("initial", "username", "errors", "warnings"),
    [
        ("KEY", "KEY", [], []),
        ("NOT_SET", "KEY", [], []),
        ("KEY", "NOT_SET", [], ["username missing"]),
        ("NOT_SET", "NOT_SET", ["username"], []),
        ("KEY", None, [], ["username and api_key missing"]),
        ("NOT_SET", None, ["initial_token"], []),
    ],
)  # fmt: skip
def test_an_initial_token_or_the_credentials_have_to_be_there(
    tmp_path: Path, initial: str, username: str | None, errors: list[str], warnings: list[str]
) -> None:
    """projectx needs one of the two. A token that cannot be renewed causes a warning."""
    text = '[providers.topstepx]\nkind = "projectx"\n' + f'initial_token = {{ env = "{initial}" }}\n'
    if username is not None:
        text += f'username = {{ env = "{username}" }}\napi_key = {{ env = "KEY" }}\n'
    path = written(tmp_path, text)
    if errors:
        assert [p.message.split(":")[0] for p in refused(path)] == errors
    else:
        environ = {"KEY": "eyJ-obviously-fake"}
        assert [w.message.split(":")[0] for w in loaded(path, environ=environ).warnings] == warnings


def test_credentials_by_command_are_believed_to_be_there(tmp_path: Path) -> None:
    """A command is not run before its secret is needed."""
    text = PROJECTX.replace('{ env = "KEY" }', '{ command = ["x"] }') + 'initial_token = { env = "NOT_SET" }\n'
    assert loaded(written(tmp_path, text)).warnings == ()


def test_a_short_shared_secret_is_warned_about(tmp_path: Path) -> None:
    """A secret of less than 32 bytes works and causes a warning."""
    [warning] = loaded(written(tmp_path, PARTNER), environ={"KEY": "short"}).warnings
    assert "the secret has 5 bytes: HS256 keys should have at least 32" in warning.message


@pytest.mark.parametrize("key", ["ca_file", "client_cert", "client_key"])
def test_what_tls_needs_has_to_be_there(tmp_path: Path, key: str) -> None:
    """A missing CA, certificate or key is a configuration error, not a failed attempt later."""
    written(tmp_path, CLIENT_PEM, name="there.pem")
    lines = "".join(f'{k} = "there.pem"\n' for k in ("client_cert", "client_key") if k != key)
    problem = only(refused(written(tmp_path, PROJECTX + lines + f'{key} = "missing.pem"\n')))
    assert problem.message.startswith(f"{key}: file {tmp_path}/missing.pem cannot be read: No such file")


def test_the_files_of_secrets_are_known_for_watching(tmp_path: Path) -> None:
    """The list has each file once, with its absolute path."""
    written(tmp_path, PLANTED, name="keys/a")
    text = with_secret('{ file = "keys/a" }', TT + PARTNER)
    assert loaded(written(tmp_path, text)).secret_files == (tmp_path / "keys" / "a",)


def test_a_credential_is_found_in_the_first_directory(tmp_path: Path) -> None:
    """$CREDENTIALS_DIRECTORY may have several directories; the first one counts."""
    written(tmp_path, PLANTED, name="credentials/partner")
    environ = {"CREDENTIALS_DIRECTORY": f"{tmp_path}/credentials:/elsewhere"}
    loaded(written(tmp_path, with_secret('{ credential = "partner" }')), environ=environ)


MINT = '[providers.mint]\nkind = "command"\ncommand = ["true"]\nenv = {{ REGION = "eu", KEY = {} }}\n'
LOOKS_SECRET = "ghp_obviouslyFakeObviouslyFake0123456789"


@pytest.mark.parametrize(
    ("secret", "message", "column"),
    [
        ('{ env = "NOT_SET" }', "env.KEY: environment variable NOT_SET is not set", 24),
        ('{ file = "./missing" }', "missing cannot be read: No such file or directory", 24),
        ('{ token = "mind" }', 'there is no provider of this name; did you mean "mint"?', 32),
        ('{ token = "mint" }', "mint would need its own token to get it", 32),
        ("{ }", "a secret is exactly one of { env = }", 24),
        ('{ fil = "x" }', 'did you mean "file"?', 32),
        ("5", "expected a table", 24),
    ],
)
def test_a_secret_of_a_table_is_an_error_at_its_place(tmp_path: Path, secret: str, message: str, column: int) -> None:
    """As one of a field is. The places of the others are right."""
    problem = only(refused(written(tmp_path, MINT.format(secret))))
    assert message in problem.message
    assert (problem.line, problem.column) == (4, column)


def test_all_errors_of_a_table_are_told_at_once(tmp_path: Path) -> None:
    """Each at its key: a name, a place and a text that no environment can hold."""
    table = MINT.replace('REGION = "eu"', '"A B" = "eu", C = "x\\u0000", D = {{ evn = "X" }}').format('"x"')
    problems = refused(written(tmp_path, table))
    assert [(one.line, one.message.split(":")[0].split(";")[0]) for one in problems] == [
        (4, "A B"), (4, "C"), (4, 'unknown key "evn"'),
    ]  # fmt: skip


def test_a_text_of_a_table_that_looks_like_a_secret_is_one(tmp_path: Path) -> None:
    """In a file that others can read it is an error, and else a warning. A region is neither."""
    path = written(tmp_path, MINT.format(f'"{LOOKS_SECRET}"'))
    (warning,) = loaded(path).warnings
    assert (warning.code, warning.line, warning.column) == ("literal_secret", 4, 24)
    path.chmod(0o644)
    problem = next(one for one in refused(path) if one.line == 4)
    assert "a secret stands here and others can read this file" in problem.message
    assert LOOKS_SECRET not in f"{warning}{problem}"


def test_a_secret_file_of_a_table_is_watched_and_not_written(tmp_path: Path) -> None:
    """As that of a field is."""
    written(tmp_path, "obviously fake", name="key")
    text = MINT.format('{ file = "key" }')
    assert loaded(written(tmp_path, text)).secret_files == (tmp_path / "key",)
    text += '[[providers.mint.sinks]]\nkind = "raw"\npath = "key"\n'
    assert "key is read by tokend (env)" in only(refused(written(tmp_path, text))).message


def test_a_program_that_others_may_change_is_an_error(tmp_path: Path) -> None:
    """It is found without being run."""
    program = written(tmp_path, "#!/bin/sh\n", name="mint")
    program.chmod(0o777)
    problem = only(refused(written(tmp_path, MINT.format('"x"').replace('"true"', f'"{program}"'))))
    assert (problem.line, problem.code) == (3, "unsafe_path")
