"""`tokend init`: where the file is written, with which mode, and what is never touched."""

import stat
from pathlib import Path

import pytest

from tests.cli.running import tokend
from tokend.cli.example import whole


def test_the_file_is_written_where_run_looks_for_it(tmp_path: Path) -> None:
    """Mode 0600; a missing directory is made. `check` finds it, and it does nothing yet."""
    place = tmp_path / "etc" / "config.toml"
    environ = {"CONFIGURATION_DIRECTORY": f"{place.parent}:/elsewhere"}
    done = tokend("init", **environ)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{place} written. Fill in its values, then run: tokend check\n"
    assert (place.read_text(), stat.S_IMODE(place.stat().st_mode)) == (whole(), 0o600)
    assert tokend("check", **environ).out == f"{place}: ok, 0 providers, 0 warnings\n"


def test_another_place_and_standard_output(tmp_path: Path) -> None:
    """`--output PATH` and `--output -`."""
    place = tmp_path / "x.toml"
    assert tokend("init", "--output", str(place)).out.endswith(f"tokend check {place}\n")
    assert place.read_text() == whole()
    done = tokend("init", "--output", "-")
    assert (done.code, done.out, done.err) == (0, whole(), "")


@pytest.mark.parametrize("made", ["file", "link", "directory"])
def test_what_exists_is_left_alone(tmp_path: Path, made: str) -> None:
    """Exit code 2; also a link that leads nowhere is left alone, and nothing is made at its end."""
    place = tmp_path / "x.toml"
    if made == "file":
        place.write_text("mine")
    elif made == "link":
        place.symlink_to("nowhere")
    else:
        place.mkdir()
    for arguments in (("init", "--output", str(place)), ("init", "tt", "--output", str(place))):
        done = tokend(*arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            f"tokend: {place} exists and was left alone: name another file with --output, or print it with --output -\n"
        )
    assert made != "file" or place.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [place]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A directory that is not there is made only at the default place."""
    done = tokend("init", "--output", str(tmp_path / "none" / "x.toml"))
    assert (done.code, done.out) == (1, "")
    assert str(tmp_path / "none" / "x.toml") in done.err


def test_an_unknown_kind_is_a_wrong_usage(tmp_path: Path) -> None:
    """Exit code 2, the known kinds, and the near miss; nothing is written."""
    done = tokend("init", "tt", "jtw", "--output", str(tmp_path / "x.toml"))
    assert (done.code, done.out) == (2, "")
    assert 'there is no kind "jtw" in the example; it has projectx, tt, jwt, vault, github-app, ' in done.err
    assert 'did you mean "jwt"?' in done.err
    assert not (tmp_path / "x.toml").exists()


def test_the_message_of_a_missing_configuration_names_the_command(tmp_path: Path) -> None:
    """`check` and `run` lead to it."""
    done = tokend("check", TOKEND_CONFIG=str(tmp_path / "none.toml"))
    assert "write one (`tokend init`;" in done.err


@pytest.mark.parametrize("kinds", [(), ("jwt",)])
def test_the_key_of_the_state_is_in_force_where_its_credential_is(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """Else it is a comment. The configuration is valid as it is."""
    (tmp_path / "tokend-state-key").write_bytes(b"a-planted-fake-key-of-32-bytes-1")
    (tmp_path / "tokend-state-key").chmod(0o600)
    with_key = tokend("init", *kinds, "--output", "-", CREDENTIALS_DIRECTORY=str(tmp_path)).out
    without = tokend("init", *kinds, "--output", "-").out
    assert 'state_key = { credential = "tokend-state-key" }' in with_key.splitlines()
    assert "[daemon]" in with_key.splitlines()
    assert with_key.replace("\n[daemon]\n", "\n#[daemon]\n").splitlines()[:20] == without.splitlines()[:20]
    assert [line for line in without.splitlines() if "state_key" in line and not line.startswith("#")] == []
    if not kinds:
        (tmp_path / "config.toml").write_text(with_key)
        done = tokend("check", str(tmp_path / "config.toml"), CREDENTIALS_DIRECTORY=str(tmp_path))
        assert done.code == 0, done.err
