"""Contents of a soak, the same for all its processes: which providers there are, where each one's upstream
listens, and how long its tokens live."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SHORTEST_LIFE_SECONDS, LONGEST_LIFE_SECONDS = 15, 60
# TT may be asked once in 10 s: a shorter life has no room for a second try.
SHORTEST_TT_LIFE_SECONDS, TT_INTERVAL_SECONDS = 40, 10.0
# Of ten providers in turn. What is minted here has no upstream and cannot fail.
KINDS = (*["projectx"] * 7, "tt", "tt", "jwt")
# Share of the upstreams' answers that are no token.
FAILURE_RATE = 0.30
# What one attempt may take. A quarter of the shortest life: the default of 30 s would outlast it twice.
TIMEOUT_SECONDS = 4.0
# Providers whose credentials are refused now and then, and whose availability is another matter.
REVOCABLE = 5
# Addresses for providers that reloads add and remove.
SPARE = 8
# Tokens on demand: one provider, and each issue has a name of its own behind this sign.
ON_DEMAND, ISSUE_SIGN = "links", "#"
# Written by several providers in turn.
SHARED_ENV = "shared.env"
# What readers may hold a token against; nothing here is a secret.
SIGNING_KEY = b"soak: signs tokens that are worth nothing"
GOOD_KEY, REVOKED_KEY = "soak-key-good", "soak-key-revoked"
SECRET = "soak-secret-of-applications"
SINKS = ("json", "json", "json", "raw", "raw", "template", "dotenv")


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: its upstream's ``address`` is its own, so that a 429 there is its own as well."""

    name: str
    kind: str
    address: str
    life_seconds: int
    sink: str

    @property
    def file(self) -> str:
        """Where its token is written."""
        return SHARED_ENV if self.sink == "dotenv" else f"{self.name}.{self.sink}"

    @property
    def key(self) -> str:
        """Its key in the shared file."""
        return "T_" + self.name.upper()

    @property
    def is_revocable(self) -> bool:
        """Return whether its credentials are refused now and then."""
        return self.name.startswith("revocable")

    @property
    def is_on_demand(self) -> bool:
        """Return whether its tokens are issued on demand, and not held."""
        return self.name == ON_DEMAND

    @property
    def interval_seconds(self) -> float:
        """What its vendor wants between any two requests."""
        return TT_INTERVAL_SECONDS if self.kind == "tt" else 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The soak: for how many ``seconds``, with how many providers, in which directory, from which seed."""

    directory: str
    seconds: float
    count: int
    seed: int
    reads_per_second: float

    @property
    def home(self) -> Path:
        """The directory of everything."""
        return Path(self.directory)

    def providers(self) -> Sequence[Provider]:
        """Those that are configured all the time."""
        return [_provider(f"p{index:04d}", index, KINDS[index % len(KINDS)]) for index in range(self.count)]

    def revocable(self) -> Sequence[Provider]:
        """Those that are rejected now and then."""
        return [_provider(f"revocable{index}", self.count + index) for index in range(REVOCABLE)]

    def spare(self) -> Sequence[Provider]:
        """Those that come and go."""
        first = self.count + REVOCABLE
        return [_provider(f"spare{index}", first + index) for index in range(SPARE)]

    def on_demand(self) -> Provider:
        """The one whose tokens are issued."""
        return _provider(ON_DEMAND, self.count + REVOCABLE + SPARE, "auth-token")

    def everybody(self) -> Sequence[Provider]:
        """All that an upstream must be there for."""
        held = [*self.providers(), *self.revocable(), *self.spare()]
        return [*(provider for provider in held if provider.kind != "jwt"), self.on_demand()]

    def save(self) -> None:
        """Put it where the other processes find it."""
        (self.home / "plan.json").write_text(json.dumps(asdict(self)))


def minute(moment: float) -> int:
    """The number of the minute that a moment (Unix seconds) is in."""
    return int(moment // 60)


def load(directory: str) -> Plan:
    """Read the plan of a directory."""
    return Plan(**json.loads((Path(directory) / "plan.json").read_text()))


def _provider(name: str, index: int, kind: str = "projectx") -> Provider:
    shortest = SHORTEST_TT_LIFE_SECONDS if kind == "tt" else SHORTEST_LIFE_SECONDS
    # 17 has no factor in common with 46 or 21: every life comes up equally often.
    life = shortest + index * 17 % (LONGEST_LIFE_SECONDS - shortest + 1)
    return Provider(
        name=name,
        kind=kind,
        address=f"127.1.{index // 250}.{index % 250 + 1}",
        life_seconds=LONGEST_LIFE_SECONDS if kind == "auth-token" else life,
        sink=SINKS[index % len(SINKS)],
    )
