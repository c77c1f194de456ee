"""A file that is planned: which files are read, and what the answer may show of them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.written import written
from tokend.config import InvalidConfigError
from tokend.daemon.planned_file import LARGEST_BYTES, load_planned
from tokend.values.errors import ConfigError

TEXT = '[providers.partner]\nkind = "jwt"\nsecret = { file = "./s" }\n'


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A file in a directory that only its owner may write."""
    tmp_path.chmod(0o755)
    written(tmp_path, "obviously-fake-secret-of-32-bytes", name="s")
    return written(tmp_path, TEXT, name="next.toml")


def too_large(path: Path) -> str:
    path.write_text("#" * (LARGEST_BYTES + 1))
    return f"it has {LARGEST_BYTES + 1} bytes, and at most {LARGEST_BYTES} are planned"


def fifo(path: Path) -> str:
    path.unlink()
    os.mkfifo(path)
    return "it is no regular file"


def directory(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return "it is no regular file"


def device(path: Path) -> str:
    path.unlink()
    path.symlink_to("/dev/zero")
    return "it is no regular file"


def missing(path: Path) -> str:
    path.unlink()
    return "the daemon cannot read it: No such file or directory"


def everybody_s(path: Path) -> str:
    path.chmod(0o666)
    return f"unsafe path: every user may write to {path}"


def in_everybody_s_directory(path: Path) -> str:
    path.parent.chmod(0o777)
    return f"unsafe path: every user may write to {path.parent}"


def somebody_s(path: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 54321, -1)
    return f"unsafe path: {path} belongs to uid 54321"


def test_a_file_of_1_mib_is_read(planned: Path) -> None:
    """Its relative paths start at its own directory."""
    planned.write_text(TEXT + "#" * (LARGEST_BYTES - len(TEXT)))
    assert list(load_planned(planned).providers) == ["partner"]


FAULTS = (too_large, fifo, directory, device, missing, everybody_s, in_everybody_s_directory, somebody_s)


@pytest.mark.parametrize("spoil", FAULTS)
def test_another_file_is_not_read(planned: Path, spoil: Callable[[Path], str]) -> None:
    """The size and the kind are looked at before the content; a path that others can change is not read."""
    expected = spoil(planned)
    with pytest.raises(ConfigError) as caught:
        load_planned(planned)
    assert caught.value.detail.startswith(f"{planned}: {expected}")


@pytest.mark.parametrize("text", ["root:$y$obviously-fake:0:0\n", TEXT + 'algorithm = "planted-word"\n'])
def test_the_errors_show_no_line_of_the_file(planned: Path, text: str) -> None:
    """They have their places and messages. The file may be one that was never meant to be a configuration."""
    planned.write_text(text)
    with pytest.raises(InvalidConfigError) as caught:
        load_planned(planned)
    assert [(error.file, error.excerpt) for error in caught.value.errors] == [(str(planned), "")]
    assert not any(word in str(caught.value) for word in ("planted", "fake"))
