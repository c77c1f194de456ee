"""Secrets of sinks are read, watched and hidden like those of providers. Targets of remote sinks are no paths."""

from pathlib import Path

import pytest

from tests.config.written import ENVIRON, PARTNER, TT, only, written
from tests.publishing_sinks import StoreSink
from tokend.config import Config, ConfigProblem, InvalidConfigError, load
from tokend.kinds import PROVIDERS, SINKS

PLANTED = "planted-fake-password-of-a-store"
SINK = '[[providers.partner.sinks]]\nkind = "store"\nkey = "app"\nauth = {auth}\n'


def loaded(path: Path, before: Config | None = None) -> Config:
    kinds = SINKS.including({"store": StoreSink})
    return load(path, providers=PROVIDERS, sinks=kinds, environ=ENVIRON, before=before)


def refused(path: Path, before: Config | None = None) -> list[ConfigProblem]:
    with pytest.raises(InvalidConfigError) as refusal:
        loaded(path, before)
    assert PLANTED not in str(refusal.value)
    return list(refusal.value.errors)


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ('{ file = "./missing" }', "missing cannot be read: No such file or directory"),
        ('{ env = "NOT_SET" }', "auth: environment variable NOT_SET is not set"),
        ('{ env = "KEY", encoding = "hex" }', "auth: environment variable KEY is not valid hex"),
        ('""', "auth: literal in the configuration is empty"),
        ("{ }", "auth: a secret is exactly one of { env = }"),
    ],
)
def test_a_sink_s_secret_that_cannot_be_read_is_an_error_at_its_place(tmp_path: Path, auth: str, message: str) -> None:
    """The error has line and caret, as for a provider, at `check` and at a reload."""
    good = loaded(written(tmp_path, PARTNER + SINK.format(auth='{ env = "KEY" }')))
    for before in (None, good):
        problem = only(refused(written(tmp_path, PARTNER + SINK.format(auth=auth)), before))
        assert message in problem.message
        assert (problem.line, problem.column) == (7, 1)


def test_an_unchanged_table_is_read_again_all_the_same(tmp_path: Path) -> None:
    """A reload takes over unchanged tables but reads their secrets again; a missing secret is an error."""
    secret = written(tmp_path, PLANTED, name="secret")
    path = written(tmp_path, PARTNER + SINK.format(auth='{ file = "./secret" }'))
    before = loaded(path)
    assert loaded(path, before) == before
    secret.unlink()
    assert "secret cannot be read" in only(refused(path, before)).message


def test_it_is_read_beside_other_errors_of_its_table(tmp_path: Path) -> None:
    """All errors of the table are reported at once."""
    problems = refused(written(tmp_path, PARTNER + SINK.format(auth='{ file = "./missing" }') + "zzz = 1\n"))
    assert [problem.line for problem in problems] == [7, 8]


def test_its_file_is_watched_and_a_token_must_not_be_written_there(tmp_path: Path) -> None:
    """The file of a sink's secret is in the same list as those of providers."""
    written(tmp_path, PLANTED, name="secret")
    text = PARTNER + SINK.format(auth='{ file = "./secret" }')
    assert loaded(written(tmp_path, text)).secret_files == (tmp_path / "secret",)
    text += '[[providers.partner.sinks]]\nkind = "raw"\npath = "secret"\n'
    assert only(refused(written(tmp_path, text))).message.endswith(
        "secret is read by tokend (auth): a token must not be written there"
    )


def test_a_literal_is_warned_about_and_not_shown(tmp_path: Path) -> None:
    """The literal is masked in the excerpt and in every repr. In a file that others can read it is an error."""
    path = written(tmp_path, PARTNER + SINK.format(auth=f'"{PLANTED}"'))
    config = loaded(path)
    [warning] = config.warnings
    assert (warning.line, warning.excerpt) == (7, 'auth = "…"')
    assert warning.message.startswith("a secret stands in the file itself")
    assert PLANTED not in repr(config) + str(warning)
    path.chmod(0o644)
    assert "others can read this file" in only(refused(path)).message


def test_a_secret_in_the_wrong_form_is_masked_too(tmp_path: Path) -> None:
    """Another mistake on the same line does not show the secret."""
    text = PARTNER + SINK.format(auth=f'{{ file = "x", encoding = "rot13", value = "{PLANTED}" }}')
    assert all(PLANTED not in problem.excerpt for problem in refused(written(tmp_path, text)))


def test_a_command_is_not_run(tmp_path: Path) -> None:
    """`check` must be safe on any machine."""
    loaded(written(tmp_path, PARTNER + SINK.format(auth='{ command = ["/nonexistent"] }')))


def test_a_remote_target_is_no_path(tmp_path: Path) -> None:
    """No link is resolved. Another spelling is another key, and a file of the same name is another target."""
    tables = [SINK.format(auth='{ env = "KEY" }').replace('"app"', f'"{key}"') for key in ("app", "./app", "x/../app")]
    tables.append('[[providers.partner.sinks]]\nkind = "raw"\npath = "store:app"\n')
    config = loaded(written(tmp_path, PARTNER + "".join(tables)))
    targets = [sink.target for sink in config.providers["partner"].sinks]
    assert targets == ["store:app", "store:./app", "store:x/../app", str(tmp_path / "store:app")]


def test_two_sinks_on_one_key_are_an_error_that_names_both(tmp_path: Path) -> None:
    """The sinks may belong to one provider or to two. The same key in another store is another target."""
    sink = SINK.format(auth='{ env = "KEY" }')
    path = written(tmp_path, PARTNER + sink + TT + sink.replace("partner", "tt"))
    problem = only(refused(path))
    assert problem.line == 15
    assert problem.message == f'store:app key "app" is written by another sink already: {path}:4'
    loaded(written(tmp_path, PARTNER + sink + sink + 'url = "http://127.0.0.1:2"\n'))


def test_names_of_other_tokens_are_checked(tmp_path: Path) -> None:
    """The same checks hold as for a template."""
    text = PARTNER + SINK.format(auth='{ env = "KEY" }') + 'tokens = ["nobody"]\n'
    assert only(refused(written(tmp_path, text))).message == 'there is no provider "nobody"'
