"""The upstreams, simulated: the vendors' own answers, and all the ways in which they go wrong."""

import base64
import random
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import orjson

from tests.simulation.machine import Machine
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.upstream.client import _offset
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret

# What each kind of weather does to a request. "fine" lets it through.
WEATHERS = ("refused", "silent", "reset", "slow", "500", "503", "429", "403", "html", "odd-expiry", "same", "mixed")
RETRY_AFTER = ("", "0", "-5", "1", "5", "17", "120", "900", "3600", "86400", "1e30", "soon", "date", "past-date")
ODD_EXPIRY: tuple[object, ...] = (0, -1, "abc", None, 1e30, 5e8, "3600abc", [], True)


@dataclass(frozen=True)
class Made:
    """A token as its upstream made it. ``ends`` is the truth; a token that is not ``usable`` must not be believed.

    ``skew`` is by how much the upstream's clock was wrong then: the end in a JWT is by that clock.
    """

    value: str
    account: str
    ends: float
    usable: bool
    skew: float = 0.0


@dataclass
class Host:
    """One upstream: who may log in, how long its tokens live, how its clock goes, how it is today."""

    name: str
    machine: Machine
    draw: random.Random
    life: float
    says: str  # "field" | "jwt" | "both": how its tokens declare their end
    latency: float
    skew: float = 0.0
    weather: str = "fine"
    share: float = 1.0  # of the requests that meet the weather
    keys: dict[str, str] = field(default_factory=dict)  # account: what it must present
    made: dict[str, Made] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)  # account: its newest token
    paused_until: float = -1.0
    trouble_at: float = -1.0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"https://{self.name}"

    def not_well_until(self) -> float:
        """When it last made trouble: now in an outage, also while nobody asks."""
        in_outage = self.weather != "fine" and self.share == 1.0
        return max(self.trouble_at, self.paused_until, self.machine.elapsed if in_outage else -1.0)

    def today(self) -> str:
        """What the next request meets."""
        weather = self.weather if self.draw.random() < self.share else "fine"
        return self.draw.choice(WEATHERS[:-1]) if weather == "mixed" else weather

    def delay(self, weather: str, timeout: float) -> float:
        """How long it takes until the client knows."""
        if weather == "silent":
            return timeout
        if weather == "slow":
            return self.draw.uniform(0.2, 1.2) * timeout
        return self.draw.uniform(0.2, 1.0) * self.latency

    def answer(self, request: UpstreamRequest, weather: str, arrived: float, sent: Instant) -> UpstreamReply:
        """The reply; raises what the HTTP client would."""
        if weather == "refused":
            raise TransientError(f"{self.name}: connection refused", repeatable=True)
        if weather == "reset":
            raise TransientError(f"{self.name}: the exchange broke off")
        headers = {}
        date = self.machine.date(arrived, self.skew).replace(microsecond=0)
        if weather == "429" or (weather == "503" and self.draw.random() < 0.5):
            headers["retry-after"] = self._retry_after(arrived)
        if weather.isdigit():
            status, body = int(weather), b'{"message": "no"}'
        elif weather == "html":
            status, body = 200, b"<html>Please log in</html>"
        else:
            status, answer = self._route(request, weather, arrived)
            body = orjson.dumps(answer)
        return UpstreamReply(status, headers, body, sent, date, _offset(date, sent, self.machine.instant()))

    def _retry_after(self, arrived: float) -> str:
        asked = self.draw.choice(RETRY_AFTER)
        if asked.endswith("date"):
            ahead = self.draw.choice([3.0, 60.0, 7200.0]) * (-1 if asked.startswith("past") else 1)
            return format_datetime(self.machine.date(arrived + ahead, self.skew), usegmt=True)
        return asked

    def _route(self, request: UpstreamRequest, weather: str, arrived: float) -> tuple[int, Any]:
        path = request.url.removeprefix(self.url)
        if path == "/api/Auth/loginKey":
            login = orjson.loads(request.body)
            if self.keys.get(login["userName"]) != login["apiKey"]:
                return (401, {}) if self.draw.random() < 0.5 else (200, {"success": False, "errorCode": 3})
            value, says = self._token(login["userName"], weather, arrived)
            says = {} if says is _NOTHING else {"expiresIn": says / 60.0 if isinstance(says, float) else says}
            return 200, {"success": True, "errorCode": 0, "errorMessage": None, "token": value, **says}
        if path == "/api/Auth/validate":
            return self._validate(request, weather, arrived)
        if path.startswith("/ttid/"):
            key, _, secret = parse_qs(request.body.decode())["app_key"][0].partition(":")
            if self.keys.get(key) != secret:
                return (401, {}) if self.draw.random() < 0.5 else (200, {"status": "Fail"})
            value, says = self._token(key, weather, arrived)
            says = self.life if says is _NOTHING else says
            return 200, {"status": "Ok", "access_token": value, "seconds_until_expiry": says}
        self.made.setdefault("issued", Made("issued", "", arrived, True))
        return 200, {"status": "success", "data": {"token": "fake-issued", "expiresIn": 60}}

    def _validate(self, request: UpstreamRequest, weather: str, arrived: float) -> tuple[int, Any]:
        bearer = request.headers["Authorization"]
        made = self.made.get((bearer.reveal() if isinstance(bearer, Secret) else bearer).removeprefix("Bearer "))
        if made is None or made.ends < arrived:
            return 401, {}
        if weather == "odd-expiry":
            return 200, {"success": False, "errorCode": 4}
        new, _ = self._token(made.account, weather, arrived, says="jwt")
        return 200, {"success": True, "errorCode": 0, "newToken": self.draw.choice([new, None, ""])}

    def _token(self, account: str, weather: str, arrived: float, says: str | None = None) -> tuple[str, Any]:
        """A token and what its reply says of its end."""
        says = says or self.says
        known = self.made.get(self.last.get(account, ""))
        if weather == "same" and known is not None:
            left: Any = known.ends - arrived
            return known.value, _NOTHING if says == "jwt" else left
        ends, usable = arrived + self.life, True
        told: object = self.life
        if weather == "odd-expiry":
            told, usable, says = self.draw.choice(ODD_EXPIRY), False, "field"
            if told == 0 and self.draw.random() < 0.5:
                ends, told, says = arrived - self.draw.uniform(60, 900), _NOTHING, "jwt"
        serial = len(self.made) + 1
        exp = int(self.machine.date(ends, self.skew).timestamp())
        value = f"fake-{self.name}-{serial}"
        if says in ("jwt", "both"):
            claims = base64.urlsafe_b64encode(orjson.dumps({"exp": exp, "n": f"{self.name}-{serial}"})).decode()
            value = f"eyJ0.{claims.rstrip('=')}.fake"
        self.made[value] = Made(value, account, ends, usable, self.skew)
        if usable:
            self.last[account] = value
        return value, _NOTHING if says == "jwt" else told


_NOTHING: Any = object()
