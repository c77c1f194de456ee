"""The tables ``[secrets]`` and ``[values]``: their secrets are found, watched and hidden like fields."""

from typing import Any, Literal

from tokend.plugin.declared.named_settings import NamedSettings
from tokend.plugin.secret_check import secret_faults
from tokend.plugin.secret_reading import files_of
from tokend.plugin.settings import HeldSettings


class Named(NamedSettings, HeldSettings):
    kind: Literal["named"] = "named"


def settings(**keys: Any) -> Named:
    return Named.model_validate(keys)


def test_each_secret_has_a_key_of_its_table() -> None:
    """One that stands in the configuration itself is a secret, too, whatever it looks like."""
    named = settings(secrets={"key": {"file": "/run/fake/key"}, "user": "eu-1"})
    assert list(named.secrets()) == ["secrets.key", "secrets.user"]
    assert [str(path) for path in files_of(named)] == ["/run/fake/key"]
    assert not secret_faults(Named)
    assert "eu-1" not in repr(named)


def test_tables_with_other_places_differ() -> None:
    """A reload sees another place and another value."""
    assert settings(secrets={"a": {"env": "A"}}) != settings(secrets={"a": {"env": "B"}})
    one, other = ({"v": {"hash": name, "parts": ["a"]}} for name in ("sha1", "sha256"))
    assert settings(values=one) == settings(values=one) != settings(values=other)
