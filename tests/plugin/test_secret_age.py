"""A secret in a file that is encrypted for age, with real files."""

import json
import sys
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import ValidationError

from tests.config.written import PARTNER, loaded, only, refused, written
from tests.plugin.test_secret_reading import PLANTED, source
from tokend.plugin.secret_inspection import inspect_secret
from tokend.plugin.secret_reading import LARGEST_SECRET_BYTES, read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import SecretError, UnsafePathError

# The text of an identity that opens nothing here.
OTHER = ""
KEY = "obviously-fake-secret-of-32-bytes"


def sealed(
    directory: Path, content: bytes = KEY.encode() + b"\n", *, armored: bool = False, **more: str
) -> SecretSource:
    """Write a file of age and the identity that opens it, as age-keygen writes one."""
    identity = pyrage.x25519.Identity.generate()
    (directory / "key.age").write_bytes(pyrage.encrypt(content, [identity.to_public()], armored=armored))
    text = f"# created: 2026-01-01T00:00:00Z\n# public key: {identity.to_public()}\n{identity}\n"
    written(directory, text, name="identity.txt")
    return source({"age": "./key.age", "identity": "./identity.txt", **more}, str(directory))


@pytest.mark.parametrize("armored", [True, False])
def test_an_encrypted_file_is_opened_at_each_use(tmp_path: Path, armored: bool) -> None:
    """With armor and without; one newline at the end is stripped, as of every secret."""
    made = sealed(tmp_path, armored=armored)
    assert read_secret(made).reveal() == KEY
    sealed(tmp_path, b"fake-newer", armored=armored)
    assert read_secret(made).reveal() == "fake-newer"


def test_encoding_and_selection_are_of_the_opened_content(tmp_path: Path) -> None:
    """A document may hold several secrets."""
    made = sealed(tmp_path, json.dumps({"key": "eA=="}).encode(), select="key", encoding="base64")
    assert read_secret(made).reveal() == "x"


def test_a_private_key_of_ssh_is_an_identity(tmp_path: Path) -> None:
    """As of a host: no other key is needed."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (tmp_path / "key.age").write_bytes(pyrage.encrypt(KEY.encode(), [pyrage.ssh.Recipient.from_str(public)]))
    made = source({"age": "./key.age", "identity": "./id_ed25519"}, str(tmp_path))
    (tmp_path / "id_ed25519").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    assert read_secret(made).reveal() == KEY


def test_one_of_several_identities_is_enough(tmp_path: Path) -> None:
    """As after a change of the key."""
    made = sealed(tmp_path)
    other = str(pyrage.x25519.Identity.generate())
    path = tmp_path / "identity.txt"
    path.write_text(f"{other}\n\n{path.read_text()}")
    assert read_secret(made).reveal() == KEY


@pytest.mark.parametrize(
    ("identity", "content", "why"),
    [
        (None, b"junk", "cannot be decrypted: its identity is none of the recipients, or this is no whole file of age"),
        (None, b"", "cannot be decrypted"),
        (OTHER, None, "cannot be decrypted"),
        ("planted-fake\n", None, "is none that can be used: lines AGE-SECRET-KEY-1"),
        ("AGE-PLUGIN-FAKE-1PLANTED-FAKE\n", None, "is none that can be used"),
        ("# nothing\n", None, "is empty"),
        ("\xff", None, "is none that can be used"),
        (None, b"x" * (2 * LARGEST_SECRET_BYTES + 1), "is larger than 131072 bytes"),
    ],
)
def test_what_cannot_be_opened_is_named_and_not_quoted(
    tmp_path: Path, identity: str | None, content: bytes | None, why: str
) -> None:
    """Place and reason."""
    made = sealed(tmp_path)
    if identity is not None:
        (tmp_path / "identity.txt").write_text(identity or str(pyrage.x25519.Identity.generate()))
    if content is not None:
        (tmp_path / "key.age").write_bytes(content)
    with pytest.raises(SecretError) as raised:
        read_secret(made)
    assert why in raised.value.detail
    assert f"age file {tmp_path}/key.age" in raised.value.detail
    assert "planted-fake" not in raised.value.detail.lower()


def test_a_large_or_a_truncated_content_is_no_secret(tmp_path: Path) -> None:
    """The limit of every secret; and the end of a file is authentic, too."""
    with pytest.raises(SecretError, match=f"holds more than {LARGEST_SECRET_BYTES} bytes"):
        read_secret(sealed(tmp_path, b"x" * (LARGEST_SECRET_BYTES + 1)))
    made = sealed(tmp_path)
    path = tmp_path / "key.age"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SecretError, match="no whole file of age"):
        read_secret(made)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Either of both."""
    made = sealed(tmp_path)
    (tmp_path / "identity.txt").unlink()
    with pytest.raises(SecretError, match=r"the identity of age file .*key.age cannot be read: No such file"):
        read_secret(made)
    (tmp_path / "key.age").unlink()
    with pytest.raises(SecretError, match=r"age file .*key.age cannot be read: No such file"):
        read_secret(made)


def test_the_identity_is_as_secret_as_a_secret_s_file(tmp_path: Path) -> None:
    """Everybody may read the encrypted file, and not the identity; nobody else may write either."""
    made = sealed(tmp_path)
    (tmp_path / "key.age").chmod(0o644)
    assert inspect_secret("secret", made).warnings == ()
    (tmp_path / "identity.txt").chmod(0o644)
    [warning] = inspect_secret("secret", made).warnings
    assert warning.code == "secret_exposed"
    assert "every user may read the identity of age file" in warning.message
    assert warning.message.endswith("identity.txt")
    for name in ("identity.txt", "key.age"):
        (tmp_path / "identity.txt").chmod(0o600)
        (tmp_path / "key.age").chmod(0o600)
        (tmp_path / name).chmod(0o602)
        with pytest.raises(UnsafePathError):
            read_secret(made)


def test_a_configuration_watches_both_files_and_checks_them(tmp_path: Path) -> None:
    """`check` opens the file: it asks nobody."""
    text = PARTNER.replace('{ env = "KEY" }', '{ age = "./key.age", identity = "./identity.txt" }')
    sealed(tmp_path)
    config = loaded(written(tmp_path, text))
    assert config.warnings == ()
    assert [path.name for path in config.secret_files] == ["key.age", "identity.txt"]
    (tmp_path / "identity.txt").write_text(str(pyrage.x25519.Identity.generate()))
    problem = only(refused(tmp_path / "config.toml"))
    assert "cannot be decrypted" in problem.message
    assert "./identity.txt" in problem.excerpt


def test_both_keys_belong_together() -> None:
    """And the identity itself is not written where its path belongs."""
    for table, why in (
        ({"age": "./a"}, "age needs identity"),
        ({"file": "./a", "identity": "./b"}, "identity stands beside age only"),
        ({"age": "./a", "identity": "AGE-SECRET-KEY-1PLANTED"}, "write the path of the file that holds the identity"),
        ({"age": "./a", "identity": "./b", "env": "KEY"}, "found env and age"),
    ):
        with pytest.raises(ValidationError, match=why) as raised:
            source(table)
        assert "PLANTED" not in str(raised.value)


def test_what_may_be_a_secret_is_not_shown(tmp_path: Path) -> None:
    """A path without ./ before it may be the secret itself."""
    for table in ({"age": PLANTED, "identity": "./b"}, {"age": "./a", "identity": PLANTED}):
        made = source(table, str(tmp_path))
        assert PLANTED not in f"{made} {made!r}"
        with pytest.raises(SecretError) as raised:
            read_secret(made)
        assert PLANTED not in raised.value.detail


def test_both_files_are_parts_of_the_place() -> None:
    """For the comparison of a reload."""
    one = source({"age": "./a", "identity": "./b"})
    assert one == source({"age": "./a", "identity": "./b"}) != source({"age": "./a", "identity": "./c"})
    assert one.place != source({"age": "./a", "identity": "./c"}).place


def test_the_package_is_an_extra_that_a_check_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the configuration is wrong, and the message says what to install. Other secrets need none."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyrage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    with pytest.raises(ValidationError, match=r'{ age = } needs the package pyrage: pip install "tokend\[age\]"'):
        source({"age": "./a", "identity": "./b"})
    assert source({"file": "./a"})
