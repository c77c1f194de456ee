"""Look-ups of kinds during one load."""

from tokend.config.kind_lookup import LoadKinds, Package
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

        def is_built_in(self, kind: str) -> bool:
            return kind == "jwt"

        def offers(self, kind: str) -> list[str]:
            return []

        def package(self, kind: str) -> Package | None:
            return None if kind == "jwt" else Package("acme", "1.0")

    lookup = LoadKinds(Counting())
    for _ in range(3):
        assert lookup.get("jwt") is Jwt
        assert lookup.get("none") is None
        assert isinstance(lookup.get("broken"), ConfigError)
    assert asked == ["jwt", "none", "broken"]
    assert list(lookup.usable()) == [Jwt]
    assert lookup.packages(["jwt", "acme"]) == {"acme": Package("acme", "1.0")}
    lookup.add("jwt-of-a-file", Jwt)
    assert (lookup.get("jwt-of-a-file"), lookup.names()) == (Jwt, ["jwt", "jwt-of-a-file"])
    lookup.withdraw("jwt-of-a-file")
    assert lookup.get("jwt-of-a-file") is None
