"""`tokend check --user` and `--unit`, and the note about a unit's credentials in a shell."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import as_root, short_directory, tokend
from tests.service_manager.test_unit_settings import systemctl

TT = """\
[daemon]
state_directory = "/var/lib/tokend"
[providers.tt]
kind = "tt"
environment = "uat"
api_key = { credential = "tt-key" }
api_secret = { credential = "tt-secret" }
app_name = "App"
company_name = "Company"
"""
FAKE = "obviously-fake-key-of-more-than-32-bytes"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter, with a configuration that every user may read."""
    with short_directory() as directory:
        (directory / "config.toml").write_text(TT)
        yield directory


def unit(place: Path, *, shown: str = "", files: str = "") -> str:
    """Put a systemctl that knows one unit at the front of the path; returns $PATH."""
    base = f"User=nobody\nLoadState=loaded\nEnvironment=TOKEND_CONFIG={place}/config.toml\n"
    systemctl(place, shown + base, "[Service]\n" + files)
    return f"{place}:{os.environ['PATH']}"


def sink(place: Path, path: str, more: str = "") -> None:
    with (place / "config.toml").open("a") as file:
        file.write(f'[[providers.tt.sinks]]\nkind = "raw"\npath = "{path}"\n{more}')


def test_a_credential_of_the_unit_is_a_note_in_a_shell(place: Path) -> None:
    """Exit code 0. Where there are credentials, a missing one is an error."""
    done = tokend("check", str(place / "config.toml"))
    assert (done.code, done.out) == (0, f"{place}/config.toml: ok, 1 provider, 0 warnings\n")
    assert done.err.splitlines()[0] == (
        f"note: {place}/config.toml:6:1: api_key is a credential of the unit, which a shell has not: "
        "tokend check --unit tokend.service reads it"
    )
    answer = json.loads(tokend("check", str(place / "config.toml"), "-o", "json").out)
    assert (answer["ok"], answer["errors"], len(answer["notes"])) == (True, [], 2)
    done = tokend("check", str(place / "config.toml"), CREDENTIALS_DIRECTORY=str(place))
    assert done.code == 2
    assert "api_key: credential tt-key cannot be read: No such file or directory" in done.err


@as_root
def test_a_unit_is_checked_with_its_credentials_variables_and_user(place: Path) -> None:
    """What systemd loads as root need not be readable for the user."""
    for name in ("tt.key", "tt.secret"):
        (place / name).write_text(FAKE)
        (place / name).chmod(0o600)
    with (place / "config.toml").open("a") as file:
        file.write('[providers.partner]\nkind = "jwt"\nsecret = { env = "PARTNER" }\n')
    (place / "env").write_text(f"# words\nPARTNER='{FAKE}'\n")
    path = unit(
        place,
        shown=f"EnvironmentFiles={place}/env (ignore_errors=no)\nEnvironmentFiles={place}/none (ignore_errors=yes)\n",
        files=f"LoadCredential=tt-key:{place}/tt.key\nLoadCredential=tt-secret:{place}/tt.secret\n",
    )
    done = tokend("check", "--unit", "tokend.service", PATH=path)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{place}/config.toml: ok, 2 providers, 0 warnings\n"
    (place / "config.toml").chmod(0o600)
    done = tokend("check", "--unit", "tokend.service", PATH=path)
    assert done.code == 2
    assert "this file cannot be read: Permission denied" in done.err
    assert FAKE not in done.out + done.err


@as_root
def test_what_the_unit_lacks_is_reported_at_once(place: Path) -> None:
    """A credential that is not loaded, one whose file is missing, and sinks that the sandbox closes."""
    sink(place, "/srv/bot/x")
    sink(place, "/home/bot/x")
    sink(place, "/run/tokend/x")
    path = unit(
        place,
        shown="ProtectSystem=strict\nProtectHome=yes\nRuntimeDirectory=tokend\n",
        files=f"LoadCredential=tt-secret:{place}/none\n",
    )
    done = tokend("check", "--unit", "tokend.service", "-o", "json", PATH=path)
    answer = json.loads(done.out)
    assert done.code == 2
    assert [error["message"].split(" of ")[0].split(":")[0] for error in answer["errors"]] == [
        "api_key",
        "api_secret",
        "/srv/bot/x",
        "/home/bot/x",
    ]
    assert "ReadWritePaths=/srv/bot" in answer["errors"][2]["message"]
    assert "ProtectHome=yes of tokend.service hides it" in answer["errors"][3]["message"]
    assert answer["notes"] == [f"credential tt-secret: the unit loads it from {place}/none, which does not exist"]
    assert not list(Path("/dev/shm").glob("tokend-check-*"))


@as_root
def test_credentials_that_cannot_be_read_here_are_noted_and_no_error(place: Path) -> None:
    """Encrypted ones of another machine, and those that stand in the unit."""
    (place / "x.cred").write_text("no credential")
    path = unit(place, files=f"LoadCredentialEncrypted=tt-key:{place}/x.cred\nSetCredential=tt-secret:fake\n")
    done = tokend("check", "--unit", "tokend.service", PATH=path)
    assert done.code == 0
    assert [line.split(" of the unit")[0] for line in done.err.splitlines()] == [
        "note: credential tt-key",
        "note: credential tt-secret",
    ]


@as_root
def test_a_user_s_files_and_sinks_are_checked_as_that_user(place: Path) -> None:
    """Directories that he may not write, groups that he is not in, owners that only root can set."""
    (place / "key").write_text(FAKE)
    (place / "key").chmod(0o600)
    text = (place / "config.toml").read_text().replace('{ credential = "tt-key" }', f'{{ file = "{place}/key" }}')
    (place / "config.toml").write_text(text)
    sink(place, f"{place}/x")
    writable = place / "writable"
    writable.mkdir(mode=0o755)
    os.chown(writable, 65534, 65534)
    sink(place, f"{writable}/ok")
    sink(place, f"{writable}/group", 'group = "root"\n')
    sink(place, f"{writable}/owner", 'owner = "root"\n')
    sink(place, "/run/not-there-yet/x")
    done = tokend("check", "--user", "nobody", str(place / "config.toml"), "-o", "json")
    messages = [error["message"] for error in json.loads(done.out)["errors"]]
    assert done.code == 2
    assert [message.partition(": ")[0] for message in messages] == [
        "api_key", f"{place}/x", f"{writable}/group", f"{writable}/owner",
    ]  # fmt: skip
    assert "cannot be read: Permission denied" in messages[0]
    assert f"user nobody may not write and search {place} (root:root 0755)" in messages[1]
    assert "user nobody is not in group root" in messages[2]
    assert "only root may give a file away" in messages[3]
    os.chown(place / "key", 65534, -1)
    text = (place / "config.toml").read_text()
    (place / "config.toml").write_text(text.partition("[[")[0])
    done = tokend("check", "--user", "65534", str(place / "config.toml"))
    assert (done.code, done.out.split(":")[1]) == (0, " ok, 1 provider, 0 warnings\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--user", "no-such-user"), "this machine does not know each user and group of: no-such-user"),
        (("--unit", "none.service"), "unit none.service: systemd says not-found"),
        (("--user", "root", "--plan"), "use one of --plan, --try, --show, --unit and --user"),
    ],
)
def test_unknown_users_and_units_are_exit_code_2(place: Path, arguments: tuple[str, ...], message: str) -> None:
    """So are options that exclude each other."""
    systemctl(place, "LoadState=not-found\n")
    done = tokend("check", str(place / "config.toml"), *arguments, PATH=f"{place}:{os.environ['PATH']}")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
