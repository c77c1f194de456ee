"""Look-ups of kinds during one load."""

from tokend.config.kind_lookup import LoadKinds
from tokend.providers.jwt import Jwt
from tokend.values.errors import ConfigError


def test_a_missing_kind_is_looked_up_once() -> None:
    """Ten thousand tables of an uninstalled package must not read all packages' metadata ten thousand times."""
    asked: list[str] = []

    class Counting:
        def names(self) -> list[str]:
            return ["jwt"]

        def get(self, kind: str) -> type[Jwt] | None:
            asked.append(kind)
            if kind == "broken":
                raise ConfigError("it is broken")
            return Jwt if kind == "jwt" else None

    lookup = LoadKinds(Counting())
    for _ in range(3):
        assert lookup.get("jwt") is Jwt
        assert lookup.get("none") is None
        assert isinstance(lookup.get("broken"), ConfigError)
    assert asked == ["jwt", "none", "broken"]
    assert list(lookup.usable()) == [Jwt]
