"""Units as systemctl prints them (version 252), and what their settings allow."""

import os
from pathlib import Path

import pytest

from tokend.service_manager.unit_settings import Credential, UnitSettings, read_unit
from tokend.values.errors import ConfigError

SHOWN = """\
ExecStart={ path=/opt/tokend/bin/tokend ; argv[]=/opt/tokend/bin/tokend run --config /etc/x.toml ; ignore_errors=no ; \
start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
Environment=A=1 "B=x y" C=x.service
EnvironmentFiles=/etc/default/x (ignore_errors=yes)
EnvironmentFiles=/etc/hosts (ignore_errors=no)
User=nobody
Group=daemon
SupplementaryGroups=audio video
LoadCredential=[unprintable]
ReadWritePaths=/srv/bot -/srv/x
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
RuntimeDirectory=tokend
StateDirectory=tokend more
LoadState=loaded
"""
# What ProtectSystem=strict forbids, and the directory that opens it.
READ_ONLY = "ProtectSystem=strict of u makes it read-only: add ReadWritePaths="
FILES = """\
# /etc/systemd/system/x.service
[Service]
LoadCredential=old:/etc/old
LoadCredential=
LoadCredential=tt-key:/etc/tokend/tt.key
LoadCredential=from-the-store
LoadCredentialEncrypted=enc:/etc/x.cred
SetCredential=inline:obviously-fake
"""


def systemctl(directory: Path, shown: str = SHOWN, files: str = FILES, code: int = 0) -> None:
    """Put a systemctl into a directory that prints these texts."""
    for name, text in (("shown", shown), ("files", files)):
        (directory / name).write_text(text)
    program = directory / "systemctl"
    program.write_text(
        f"#!/bin/sh\ncase $1 in show) cat {directory}/shown;; cat) cat {directory}/files;; esac\nexit {code}\n"
    )
    program.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory at the front of $PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_a_unit_is_read_as_systemctl_prints_it(path: Path) -> None:
    """Variables with spaces, several files, and the credentials that `show` cannot print."""
    systemctl(path)
    unit = read_unit("x.service")
    assert (unit.user, unit.group, unit.supplementary_groups) == ("nobody", "daemon", ["audio", "video"])
    assert unit.argv == ["/opt/tokend/bin/tokend", "run", "--config", "/etc/x.toml"]
    assert unit.environment_files == ((Path("/etc/default/x"), True), (Path("/etc/hosts"), False))
    assert unit.environment() == {
        "A": "1",
        "B": "x y",
        "C": "x.service",
        "RUNTIME_DIRECTORY": "/run/tokend",
        "STATE_DIRECTORY": "/var/lib/tokend:/var/lib/more",
    }
    assert unit.credentials == {
        "tt-key": Credential(Path("/etc/tokend/tt.key")),
        "from-the-store": Credential(None),
        "enc": Credential(Path("/etc/x.cred"), encrypted=True),
        "inline": Credential(None),
    }


@pytest.mark.parametrize(
    ("values", "path", "fault"),
    [
        ({}, "/srv/x", None),
        (
            {"ProtectSystem": "strict"},
            "/srv/bot/.env",
            READ_ONLY + "/srv/bot",
        ),
        ({"ProtectSystem": "strict", "ReadWritePaths": "-/srv"}, "/srv/bot/.env", None),
        ({"ProtectSystem": "strict", "RuntimeDirectory": "tokend"}, "/run/tokend/x", None),
        ({"ProtectSystem": "strict", "RuntimeDirectory": "tokend"}, "/run/tokend2/x", "ProtectSystem=strict"),
        ({"ProtectSystem": "strict", "StateDirectory": "a b"}, "/var/lib/b/x", None),
        ({"ProtectSystem": "strict", "BindPaths": "/srv:/mnt"}, "/srv/x", None),
        ({"ProtectSystem": "full"}, "/etc/x", "ProtectSystem=full"),
        ({"ProtectSystem": "full"}, "/srv/x", None),
        ({"ProtectSystem": "yes"}, "/usr/x", "ProtectSystem=yes"),
        ({"ProtectHome": "yes"}, "/home/bot/.env", "ProtectHome=yes of u hides it"),
        ({"ProtectHome": "tmpfs"}, "/root/x", "ProtectHome=tmpfs of u hides it"),
        ({"ProtectHome": "read-only"}, "/home/bot/x", "ProtectHome=read-only of u makes it read-only"),
        ({"ProtectHome": "read-only", "ReadWritePaths": "/home/bot"}, "/home/bot/x", None),
        ({"PrivateTmp": "yes"}, "/tmp/x", "PrivateTmp=yes: u has a /tmp of its own"),
        ({"InaccessiblePaths": "/srv"}, "/srv/x", "InaccessiblePaths= of u has it"),
        ({"ReadOnlyPaths": "+/srv"}, "/srv/x", "ReadOnlyPaths= of u has it"),
    ],
)
def test_a_path_that_the_sandbox_closes_is_named_with_its_setting(
    values: dict[str, str], path: str, fault: str | None
) -> None:
    """systemd.exec(5): the setting, and what opens it."""
    found = UnitSettings("u", values).fault_of_write(Path(path))
    assert (found is None) == (fault is None)
    assert (found or "").startswith(fault or "")


@pytest.mark.parametrize(("protect", "hidden"), [("yes", True), ("tmpfs", True), ("read-only", False), ("no", False)])
def test_what_is_read_only_can_be_read(protect: str, hidden: bool) -> None:
    """A configuration in a home that is read-only is no fault."""
    unit = UnitSettings("u", {"ProtectHome": protect, "ProtectSystem": "strict"})
    assert (unit.fault_of_read(Path("/home/bot/config.toml")) is not None) is hidden


@pytest.mark.parametrize(
    ("shown", "code", "message"),
    [
        ("LoadState=not-found\n", 0, "unit x.service: systemd says not-found: is it installed?"),
        ("", 1, "systemctl show: exit code 1"),
        ("", 0, "unit x.service: systemd says nothing about it"),
    ],
)
def test_a_unit_that_is_not_there_is_an_error(path: Path, shown: str, code: int, message: str) -> None:
    """Also where systemd does not run."""
    systemctl(path, shown, code=code)
    with pytest.raises(ConfigError) as caught:
        read_unit("x.service")
    assert caught.value.detail.startswith(message)


def test_without_systemctl_it_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container has none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no systemctl"):
        read_unit("x.service")
