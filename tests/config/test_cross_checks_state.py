"""Place of the state: which kinds of login may be left to systemd's memory."""

from pathlib import Path
from typing import ClassVar

import pytest

from tests.config.written import ENVIRON, PARTNER, loaded, only, refused, written
from tokend.config import InvalidConfigError, load
from tokend.kinds import PROVIDERS, SINKS
from tokend.providers.jwt import Jwt


class Rotating(Jwt):
    """What a kind with refresh tokens that rotate would say of itself."""

    rotates: ClassVar[bool] = True


def test_memory_is_for_what_may_be_lost(tmp_path: Path):
    """A login that rotates would be lost with a stop of the service: refused at the key, and named."""
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


def test_there_is_no_third_place(tmp_path: Path):
    """The words name both."""
    problem = only(refused(written(tmp_path, '[daemon]\nstate = "memory"\n' + PARTNER)))
    assert "directory" in str(problem)
    assert "fdstore" in str(problem)
