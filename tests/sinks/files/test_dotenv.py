"""``dotenv`` on real files: one key among other people's, edited while they edit too."""

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values, set_key
from pydantic import ValidationError

from tests.files.children import (
    STRANGER,
    acting_as,
    environment,
    names,
    needs_root,
    public_directory,
    stopped_at,
    supports_acl,
)
from tests.sinks.leases import PLANTED, InlineRuntime, ended, lease, sink
from tokend.files.acl import ACL, acl_of_readers
from tokend.sinks.files.dotenv import DotenvSink
from tokend.values.errors import SinkError

EDITOR = """
import pathlib, sys
from tests.sinks.leases import lease, sink
path, key = pathlib.Path(sys.argv[1]), sys.argv[2]
made = sink("dotenv", path, key=key)
sys.stdin.readline()
for number in range(30):
    while True:
        try:
            made.write(lease(f"{key}-{number}"))
            break
        except Exception as error:
            if "keeps changing" not in str(error): raise
"""


def read(path: Path) -> dict[str, str | None]:
    return dict(dotenv_values(stream=io.StringIO(path.read_bytes().decode(), newline=""), interpolate=False))


def test_a_new_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """0600, one line per key, the expiry in RFC 3339 beside the token."""
    path = tmp_path / ".env"
    assert sink("dotenv", path, key="JWT_TOKEN", expires_key="JWT_EXPIRES").write(lease())
    assert path.read_text() == f"JWT_TOKEN={PLANTED}\nJWT_EXPIRES=2026-03-02T12:00:00Z\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_without_end_has_an_empty_expiry(tmp_path: Path) -> None:
    """And an old date does not stay."""
    path = tmp_path / ".env"
    made = sink("dotenv", path, key="JWT_TOKEN", expires_key="JWT_EXPIRES")
    made.write(lease())
    made.write(lease(life_seconds=None))
    assert path.read_text() == f"JWT_TOKEN={PLANTED}\nJWT_EXPIRES=\n"


def test_an_existing_file_keeps_everything_else(tmp_path: Path) -> None:
    """Every other byte, the mode, and (as root) the owner; the file of another owner too."""
    path = tmp_path / ".env"
    before = (
        "\ufeff# Settings\r\nexport JWT_TOKEN='old' # mine\r\nA=\"multi\r\nJWT_TOKEN=no\"\r\nJWT_TOKEN=old".encode()
    )
    path.write_bytes(before)
    path.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER + 1)
    found = path.stat()
    assert sink("dotenv", path, key="JWT_TOKEN").write(lease())
    assert path.read_bytes() == before.replace(b"'old'", PLANTED.encode()).replace(b"=old", b"=" + PLANTED.encode())
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (found.st_mode, found.st_uid, found.st_gid)


def test_mode_and_owner_may_be_asked_for(tmp_path: Path) -> None:
    """Then they are exact, also where the content is right already."""
    path = tmp_path / ".env"
    path.write_text(f"JWT_TOKEN={PLANTED}\n")
    path.chmod(0o666)
    assert sink("dotenv", path, key="JWT_TOKEN", mode="0640").write(lease())
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not sink("dotenv", path, key="JWT_TOKEN", mode="0640").write(lease())


def test_an_owner_that_cannot_be_kept_is_left_alone_with_advice() -> None:
    """The daemon is not root, the file somebody else's: a new inode would not be theirs, in place it stays theirs."""
    needs_root()
    with public_directory() as directory:
        path = directory / ".env"
        path.write_text("A=1\nJWT_TOKEN=old\n")
        path.chmod(0o666)
        os.chown(directory, STRANGER, STRANGER)
        inode = path.stat().st_ino
        with acting_as(STRANGER):
            with pytest.raises(SinkError, match=r'fchown.*write = "in-place"'):
                sink("dotenv", path, key="JWT_TOKEN").write(lease())
            assert path.read_text() == "A=1\nJWT_TOKEN=old\n"
            assert names(directory) == {".env"}
            assert sink("dotenv", path, key="JWT_TOKEN", write="in-place").write(lease())
        assert path.read_text() == f"A=1\nJWT_TOKEN={PLANTED}\n"
        assert (path.stat().st_ino, path.stat().st_uid) == (inode, 0)


def test_taking_away_leaves_the_key_without_value(tmp_path: Path) -> None:
    """on_expiry = "remove": everywhere; and a key or a file that is not there is not made."""
    path = tmp_path / ".env"
    made = sink("dotenv", path, key="JWT_TOKEN", expires_key="JWT_EXPIRES")
    assert not made.remove()
    assert not path.exists()
    path.write_text("A=1\n")
    assert not made.remove()
    assert path.read_text() == "A=1\n"
    path.write_text("JWT_TOKEN=one # c\nA=1\nexport JWT_TOKEN = 'two'\n")
    assert made.remove()
    assert path.read_text() == "JWT_TOKEN= # c\nA=1\nexport JWT_TOKEN = \n"
    assert not made.remove()
    made.write(lease())
    assert read(path) == {"JWT_TOKEN": PLANTED, "A": "1", "JWT_EXPIRES": "2026-03-02T12:00:00Z"}


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    """The default here: many programs' .env is a link into a shared directory."""
    (tmp_path / "shared").write_text("A=1\n")
    (tmp_path / ".env").symlink_to("shared")
    sink("dotenv", tmp_path / ".env", key="JWT_TOKEN").write(lease())
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "shared").read_text() == f"A=1\nJWT_TOKEN={PLANTED}\n"


def test_a_link_that_is_replaced_leaves_no_key_behind(tmp_path: Path) -> None:
    """Its program still needs all of them; the target is untouched."""
    (tmp_path / "shared").write_text("A=1\n")
    (tmp_path / ".env").symlink_to("shared")
    sink("dotenv", tmp_path / ".env", key="JWT_TOKEN", symlink="replace").write(lease())
    assert not (tmp_path / ".env").is_symlink()
    assert (tmp_path / ".env").read_text() == f"A=1\nJWT_TOKEN={PLANTED}\n"
    assert (tmp_path / "shared").read_text() == "A=1\n"


def test_a_token_that_cannot_be_written_is_reported_without_itself(tmp_path: Path) -> None:
    """The file stays as it was; other styles may do."""
    path = tmp_path / ".env"
    path.write_text("JWT_TOKEN=old\n")
    with pytest.raises(SinkError, match="cannot be written as JWT_TOKEN") as refused:
        sink("dotenv", path, key="JWT_TOKEN").write(lease("planted$fake"))
    assert "planted" not in str(refused.value)
    assert path.read_text() == "JWT_TOKEN=old\n"
    sink("dotenv", path, key="JWT_TOKEN", style="posix").write(lease("planted$fake"))
    assert path.read_text() == 'JWT_TOKEN="planted\\$fake"\n'


def test_a_file_that_cannot_be_edited_is_reported_at_start(tmp_path: Path) -> None:
    """UTF-16, as some editors and shells on Windows write it; not readable; too large."""
    path = tmp_path / ".env"
    content = "\ufeffJWT_TOKEN=old\r\n".encode("utf-16-le")
    path.write_bytes(content)
    made = sink("dotenv", path, key="JWT_TOKEN")
    for call in (made.probe, lambda: made.write(lease())):
        with pytest.raises(SinkError, match=r"\.env: it is UTF-16"):
            call()
    assert path.read_bytes() == content


def test_an_edit_by_somebody_else_meanwhile_is_kept(tmp_path: Path) -> None:
    """The file is read, the new one written, theirs is seen before the rename: all over again, with both in the end."""
    path = tmp_path / ".env"
    path.write_text("A=1\nJWT_TOKEN=old\n")
    setup = (
        "import pathlib\nfrom tests.sinks.leases import lease, sink\n"
        f"made = sink('dotenv', pathlib.Path({str(path)!r}), key='JWT_TOKEN')\n"
        "def publish():\n    made.write(lease())\n"
    )
    with stopped_at(setup, "fsync", tmp_path / "trace"):
        set_key(path, "A", "theirs", quote_mode="never")
    assert path.read_text() == f"A=theirs\nJWT_TOKEN={PLANTED}\n"
    assert names(tmp_path) == {".env", "trace"}


def test_several_writers_of_one_file_lose_nothing_for_good(tmp_path: Path) -> None:
    """Each sets its own key many times, at once; each one's last value is there, or set by its next write."""
    path = tmp_path / ".env"
    path.write_text("KEEP=me\n")
    keys = ["ONE", "TWO", "THREE"]
    argv = [sys.executable, "-c", EDITOR, str(path)]
    editors = [subprocess.Popen([*argv, key], env=environment(), stdin=subprocess.PIPE) for key in keys]
    for editor in editors:
        assert editor.stdin is not None
        editor.stdin.write(b"go\n")
        editor.stdin.close()
    assert [editor.wait(60) for editor in editors] == [0, 0, 0]
    found = read(path)
    assert found["KEEP"] == "me"
    assert set(found) <= {"KEEP", *keys}
    for key in keys:
        sink("dotenv", path, key=key).write(lease(f"{key}-29"))
    assert read(path) == {"KEEP": "me", **{key: f"{key}-29" for key in keys}}
    assert names(tmp_path) == {".env"}


@pytest.mark.parametrize("key", ["", "1A", "A B", "A-B", "A=B", "É", "A\n", "export A"])
def test_a_key_that_not_every_reader_knows_is_an_error(tmp_path: Path, key: str) -> None:
    """docs/sinks.md: ``[A-Za-z_][A-Za-z0-9_]*``."""
    for name in ("key", "expires_key"):
        with pytest.raises(ValidationError):
            sink("dotenv", tmp_path / ".env", **{"key": "A", name: key})


@pytest.mark.parametrize(
    ("found", "mode", "warned"),
    [
        (0o644, None, True),  # the file keeps its mode
        (0o604, None, True),
        (0o640, None, False),
        (None, None, False),  # a new file gets 0600
        (0o600, "0644", True),
        (0o644, "0600", False),  # the mode that it will get counts
    ],
)
def test_a_file_that_every_user_may_read_is_a_warning(
    tmp_path: Path, found: int | None, mode: str | None, warned: bool
) -> None:
    """A token among settings that others read: the warning names the file, its mode and what to do."""
    path = tmp_path / ".env"
    if found is not None:
        path.write_text("A=1\n")
        path.chmod(found)
    told = DotenvSink(path=path, key="JWT_TOKEN", mode=mode).exposure()
    assert (told is not None) is warned
    assert told is None or told.startswith(f"every user may read {path} (mode {mode or oct(found or 0)[2:].zfill(4)})")


def test_a_strangers_file_gives_the_stranger_nothing_where_an_owner_is_named() -> None:
    """Its group, its mode and its ACL are the stranger's: the new file has the wanted owner alone."""
    needs_root()
    with public_directory() as directory:
        directory.chmod(0o1777)
        path = directory / ".env"
        path.write_bytes(b"A=1\n")
        os.chown(path, STRANGER, STRANGER)
        path.chmod(0o666)
        try:
            os.setxattr(path, ACL, acl_of_readers(0o666, [("user", STRANGER)]))
        except OSError:
            pytest.skip("no ACLs on this filesystem")
        sink("dotenv", path, key="JWT_TOKEN", owner=str(STRANGER + 1)).write(lease())
        assert read(path) == {"A": "1", "JWT_TOKEN": PLANTED}
        found = path.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (STRANGER + 1, 0o600)
        assert found.st_gid != STRANGER
        assert ACL not in os.listxattr(path)


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_readers_are_added_to_the_rights_that_an_env_file_has(tmp_path: Path, mode: int) -> None:
    """Without a key for the mode: the rights of the file's group stay, also after a repair."""
    if not supports_acl(tmp_path):
        pytest.skip("the filesystem has no ACLs")
    path = tmp_path / ".env"
    path.write_bytes(b"A=1\n")
    path.chmod(mode)
    made = sink("dotenv", path, key="JWT_TOKEN", readers=[f"user:{STRANGER}"])
    wanted = acl_of_readers(mode, [("user", STRANGER)])
    for number in range(3):
        made.write(lease(f"obviously.fake.{number}"))
        assert os.getxattr(path, ACL) == wanted
        assert made.difference(lease(f"obviously.fake.{number}"), {}, made.stamp()) is None
    good = made.stamp()
    os.setxattr(path, ACL, acl_of_readers(mode, [("user", STRANGER + 1)]))
    assert "ACL" in made.difference(lease("obviously.fake.2"), {}, good).what
    assert ended(made.model.repair(InlineRuntime(), lease("obviously.fake.2"), {}, good))
    assert os.getxattr(path, ACL) == wanted
