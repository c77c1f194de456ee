"""Checks of secrets and files, strict at a check and a reload, and about one provider at a start."""

import os
from pathlib import Path

import pytest

from tests.config.written import CA_PEM, KEY, PARTNER, PROJECTX, TT, WALLET, loaded, only, refused, written
from tests.files.children import STRANGER, needs_root
from tokend.config import Config, load
from tokend.config.secret_checks import secret_warnings
from tokend.kinds import PROVIDERS, SINKS
from tokend.values.status import StatusWarning

FILE = PARTNER.replace('{ env = "KEY" }', '{ file = "./key" }')
SINK = '[[providers.partner.sinks]]\nkind = "template"\npath = "out"\ntemplate_file = "./a.j2"\n'


def started(path: Path) -> Config:
    return load(path, providers=PROVIDERS, sinks=SINKS, environ={"KEY": KEY}, starting=True)


def test_an_unreadable_secret_is_an_error_of_a_check_and_a_warning_of_a_start(tmp_path: Path) -> None:
    """The same words in both. Each provider has its own warnings in its status."""
    path = written(tmp_path, FILE + TT)
    problem = only(refused(path))
    assert problem.message == f"secret: file {tmp_path}/key cannot be read: No such file or directory"
    config = started(path)
    assert config.providers.keys() == {"partner", "tt"}
    [warning] = config.warnings
    assert (warning.message, warning.code, warning.provider) == (problem.message, "secret_unreadable", "partner")
    assert config.warnings_by_provider(of_secrets=False) == {}
    shown = {"partner": (StatusWarning("secret_unreadable", problem.message),)}
    assert config.warnings_by_provider(of_secrets=True) == shown
    # A reload is strict, also where the provider in force had no secret at its start.
    only(refused(path, before=config))


def test_errors_of_the_text_end_a_start_too(tmp_path: Path) -> None:
    """A literal in a file that others can read, a wrong type, a missing key."""
    for text in (FILE + "zzz = 1\n", FILE.replace('{ file = "./key" }', '""'), PARTNER.replace("secret", "secrte")):
        with pytest.raises(Exception, match=r"config\.toml:"):
            started(written(tmp_path, text))
    with pytest.raises(Exception, match="a secret stands here and others can read this file"):
        started(written(tmp_path, FILE.replace('{ file = "./key" }', f'"{KEY}"'), mode=0o644))


@pytest.mark.parametrize("mode", [0o644, 0o604])
def test_a_literal_user_name_may_stand_in_a_file_that_others_read(tmp_path: Path, mode: int) -> None:
    """A user name is no secret: neither an error nor a warning. The key beside it is one."""
    text = PROJECTX.replace('username = { env = "KEY" }', 'username = "obviously-fake-user"')
    config = loaded(written(tmp_path, text, mode=mode))
    assert config.warnings == ()
    text = text.replace('api_key = { env = "KEY" }', f'api_key = "{KEY}"')
    assert "others can read this file" in only(refused(written(tmp_path, text, mode=mode))).message
    written(tmp_path, KEY, name="key", mode=0o644)
    both = PROJECTX.replace('{ env = "KEY" }', '{ file = "./key" }')
    [warning] = loaded(written(tmp_path, both)).warnings
    assert (warning.code, warning.where[-1]) == ("secret_exposed", "api_key")


@pytest.mark.parametrize("name", ["key", "a.j2"])
def test_a_secret_or_a_template_that_every_user_may_write_is_an_error(tmp_path: Path, name: str) -> None:
    """At a start it is a warning: the provider or the sink fails when it would read the file."""
    written(tmp_path, KEY, name="key")
    written(tmp_path, "{{ access_token }}", name="a.j2")
    path = written(tmp_path, FILE + SINK)
    assert loaded(path).warnings == ()
    (tmp_path / name).chmod(0o602)
    problem = only(refused(path))
    assert (
        f"{tmp_path}/{name} is at an unsafe path: every user may write to {tmp_path}/{name} (mode 0602)"
        in problem.message
    )
    assert [one.code for one in started(path).warnings] == ["unsafe_path"]
    shown = started(path).warnings_by_provider(of_secrets=True)
    assert shown["partner"] == secret_warnings(started(path).providers["partner"], {})
    key = "secret: " if name == "key" else "sinks.0.template_file: "
    assert shown["partner"][0].message.startswith(key)


def test_a_directory_that_every_user_may_write_makes_all_in_it_unsafe(tmp_path: Path) -> None:
    """Secrets, authorities and certificates alike, each reported at its key."""
    place = tmp_path / "open"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    for name in ("key", "ca.pem"):
        written(place, KEY, name=name)
    text = (
        PROJECTX.replace('api_key = { env = "KEY" }', 'api_key = { file = "open/key" }') + 'ca_file = "open/ca.pem"\n'
    )
    problems = [one for one in refused(written(tmp_path, text)) if "unsafe path" in one.message]
    assert [one.where[-1] for one in problems] == ["api_key", "ca_file"]


def test_a_command_of_a_stranger_is_an_error(tmp_path: Path) -> None:
    """`command` of a secret and `on_change` of a sink are run as the daemon's user."""
    needs_root()
    program = written(tmp_path, "#!/bin/sh\n", name="program", mode=0o755)
    text = PARTNER.replace('{ env = "KEY" }', f'{{ command = ["{program}"] }}')
    text += f'[[providers.partner.sinks]]\nkind = "raw"\npath = "out"\non_change = ["{program}"]\n'
    loaded(written(tmp_path, text))
    os.chown(program, STRANGER, STRANGER)
    problems = refused(written(tmp_path, text))
    assert [one.where[-1] for one in problems] == ["secret", "on_change"]
    assert all(f"belongs to uid {STRANGER}" in one.message for one in problems)
    assert [one.code for one in started(tmp_path / "config.toml").warnings] == ["unsafe_path", "unsafe_path"]


def test_an_unsafe_main_file_ends_a_check_and_a_start(tmp_path: Path) -> None:
    """Somebody else would decide everything."""
    path = written(tmp_path, PARTNER, mode=0o662)
    assert "this file is at an unsafe path: every user may write" in only(refused(path)).message
    with pytest.raises(Exception, match="this file is at an unsafe path"):
        started(path)


def test_an_unsafe_included_file_stops_its_own_providers_at_a_start(tmp_path: Path) -> None:
    """They make no attempt, write nothing, and nobody but root may read what is still held under their names."""
    sink = '[[providers.wallet.sinks]]\nkind = "raw"\npath = "out"\n'
    table = PARTNER.replace("partner", "wallet") + sink + '[providers.wallet.access]\nusers = ["daemon"]\n'
    written(tmp_path, table, name="conf.d/wallet.toml", mode=0o602)
    path = written(tmp_path, 'include = ["conf.d/*.toml"]\n' + PARTNER)
    problem = only(refused(path))
    assert (problem.file, "unsafe path" in problem.message) == (f"{tmp_path}/conf.d/wallet.toml", True)
    config = started(path)
    closed = config.providers["wallet"]
    assert (closed.unsafe, closed.sinks) == (problem.message, ())
    assert closed.settings.access is not None
    assert closed.settings.access.users == ()
    assert config.providers["partner"].unsafe is None
    assert config.warnings_by_provider(of_secrets=False)["wallet"] == (StatusWarning("unsafe_path", problem.message),)
    # When the file is safe again, the reload validates its table again.
    (tmp_path / "conf.d/wallet.toml").chmod(0o600)
    config = loaded(path, before=config)
    assert (config.providers["wallet"].unsafe, len(config.providers["wallet"].sinks)) == (None, 1)


def test_doubtful_paths_are_warnings_and_with_strict_paths_errors(tmp_path: Path) -> None:
    """A group that is neither root's nor the owner's own may write: the main file, an included one, a secret."""
    needs_root()
    for name, content in (
        ("key", KEY),
        ("conf.d/w.toml", WALLET),
        ("config.toml", 'include = ["conf.d/*.toml"]\n' + FILE),
    ):
        os.chown(written(tmp_path, content, name=name), -1, STRANGER)
        (tmp_path / name).chmod(0o660)
    path = tmp_path / "config.toml"
    config = loaded(path)
    assert sorted((one.code, Path(one.file).name) for one in config.warnings) == [
        ("doubtful_path", "config.toml"), ("doubtful_path", "config.toml"), ("doubtful_path", "w.toml"),
    ]  # fmt: skip
    path.write_text('include = ["conf.d/*.toml"]\n[daemon]\nstrict_paths = true\n' + FILE)
    assert len([one for one in refused(path) if "unsafe path" in one.message]) == 3


def test_the_files_that_are_watched(tmp_path: Path) -> None:
    """Secrets, credentials and templates; those that are not there yet, too."""
    text = FILE + SINK + WALLET.replace('{ env = "KEY" }', '{ credential = "wallet" }', 1)
    path = written(tmp_path, text)
    environ = {"KEY": KEY, "CREDENTIALS_DIRECTORY": "/run/obviously/fake"}
    config = load(path, providers=PROVIDERS, sinks=SINKS, environ=environ, starting=True)
    assert set(config.secret_files) == {tmp_path / "key", tmp_path / "a.j2", Path("/run/obviously/fake/wallet")}


def test_a_dotenv_file_that_every_user_may_read_is_a_warning_at_its_sink(tmp_path: Path) -> None:
    """In `check` and in the status of its token. A link is looked at where it leads."""
    sink = '[[providers.partner.sinks]]\nkind = "dotenv"\npath = "./link"\nkey = "JWT_TOKEN"\n'
    written(tmp_path, "A=1\n", name=".env", mode=0o644)
    (tmp_path / "link").symlink_to(".env")
    config = loaded(written(tmp_path, PARTNER + sink))
    [warning] = config.warnings
    assert (warning.code, warning.line) == ("target_exposed", 6)
    assert f"every user may read {tmp_path}/link (mode 0644)" in warning.message
    assert config.warnings_by_provider(of_secrets=True)["partner"][0].message.startswith("sinks.0.path: every user")


def test_a_file_for_tls_that_cannot_be_used_is_an_error_that_says_what_it_is(tmp_path: Path) -> None:
    """Not a failed attempt every five minutes. At a start it concerns its provider."""
    text = PROJECTX + 'ca_file = "./ca.pem"\nclient_cert = "./ca.pem"\nclient_key = "./ca.pem"\n'
    written(tmp_path, CA_PEM[:-80], name="ca.pem")
    path = written(tmp_path, text)
    file = f"file {tmp_path}/./ca.pem".replace("/./", "/")
    assert [one.message for one in refused(path)] == [
        f"ca_file: {file} is cut: certificate 1 in it has no end",
        f"client_cert: {file} is cut: certificate 1 in it has no end",
        f"client_key: {file} is a certificate, not a private key",
    ]
    assert [one.code for one in started(path).warnings] == ["file_unusable"] * 3


def test_the_program_of_notify_is_judged_too(tmp_path: Path) -> None:
    """It runs as the daemon's user. At a start it is a warning, and the program is not run."""
    program = written(tmp_path, "#!/bin/sh\n", name="program", mode=0o757)
    path = written(tmp_path, f'[daemon]\nnotify = ["{program}"]\n')
    problem = only(refused(path))
    assert (problem.line, problem.message.startswith(f"notify: {program} is at an unsafe path: every user")) == (
        2,
        True,
    )
    assert [one.code for one in started(path).warnings] == ["unsafe_path"]
