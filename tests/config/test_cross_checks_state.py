"""The key ``state``: which kinds of login may be kept in systemd's memory."""

from pathlib import Path
from typing import ClassVar

import pytest

from tests.config.written import ENVIRON, PARTNER, loaded, only, refused, written
from tokend.config import InvalidConfigError, load
from tokend.kinds import PROVIDERS, SINKS
from tokend.providers.jwt import Jwt


class Rotating(Jwt):
    """A kind whose login rotates."""

    rotates: ClassVar[bool] = True


def test_memory_is_for_what_may_be_lost(tmp_path: Path) -> None:
    """A stop of the service would lose a login that rotates: an error at the key ``state`` that names the provider."""
    path = written(tmp_path, '[daemon]\nstate = "fdstore"\n' + PARTNER)
    assert loaded(path).daemon.state == "fdstore"
    kinds = PROVIDERS.including({"jwt": Rotating})
    with pytest.raises(InvalidConfigError) as raised:
        load(path, providers=kinds, sinks=SINKS, environ=ENVIRON)
    problem = only(list(raised.value.errors))
    assert (problem.line, problem.column) == (2, 1)
    assert "partner has a login that rotates" in str(problem)
    on_disk = written(tmp_path, '[daemon]\nstate = "directory"\n' + PARTNER)
    assert load(on_disk, providers=kinds, sinks=SINKS, environ=ENVIRON).daemon.state == "directory"


def test_there_is_no_third_place(tmp_path: Path) -> None:
    """The error names both allowed values."""
    problem = only(refused(written(tmp_path, '[daemon]\nstate = "memory"\n' + PARTNER)))
    assert "directory" in str(problem)
    assert "fdstore" in str(problem)
