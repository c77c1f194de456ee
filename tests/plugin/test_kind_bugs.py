"""A bug is attributed to the package of the kind that has it."""

from typing import Any

import pytest

from tests.fakes import FakeHeld, literal
from tokend.plugin.kind_bugs import bug_behind, bug_in, is_built_in
from tokend.plugin.settings import HeldSettings
from tokend.providers.jwt import Jwt


class Acme(HeldSettings):
    def secrets(self) -> dict[str, Any]:
        raise RuntimeError("planted")


def test_a_bug_of_a_package_names_kind_and_module() -> None:
    assert bug_in(Acme(kind="acme")) == f"a bug in kind acme ({__name__})"
    assert bug_in(FakeHeld()) == "a bug in kind fake (tests.fakes)"
    assert bug_in(Jwt(secret=literal("x" * 32))) == "a bug in tokend"
    assert is_built_in(Jwt)
    assert not is_built_in(Acme)


def test_the_traceback_shows_which_kind_raised() -> None:
    with pytest.raises(RuntimeError) as raised:
        Acme(kind="acme").secrets()
    assert bug_behind(raised.value) == f"a bug in kind acme ({__name__})"
    with pytest.raises(ZeroDivisionError) as own:
        1 / 0  # noqa: B018
    assert bug_behind(own.value) == "a bug in tokend"
