"""The sandbox's OAuth 2 server on the simulated machine's time, with faults. What it received is the witness."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from tests.simulation.machine import Machine
from tests.virtual import EPOCH
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.messages import Reply, Request
from tokend.sandbox.options import Options
from tokend.sandbox.vendors.oauth2 import OAuth2
from tokend.values.secret import Secret

HOST = "login.example"
TOKEN_URL = f"https://{HOST}/oauth2/token"
# What may meet an exchange: first what keeps the server from executing it, then what keeps the answer from arriving as
# it was sent. `slow` is late and whole.
BEFORE = ("refused", "silent", "reset", "500", "429", "page")
AFTER = ("silent-after", "reset-after", "cut-after", "502-after", "page-after")
HARMLESS = ("fine", "slow")


class MachineClock(SandboxClock):
    """The server's clock, which is right."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def now(self) -> float:
        return EPOCH.timestamp() + self._machine.elapsed


@dataclass
class Received:
    """One POST as it was received. ``index`` is that of the refresh token, ``rotated`` that of the new one."""

    grant: int | None
    at: float
    index: int | None
    is_reuse: bool
    rotated: int | None
    fault: str


@dataclass
class LoginServer:
    """A server with one client, and a grant for each login."""

    machine: Machine
    rotation: str
    life: float
    received: list[Received] = field(default_factory=list)
    newest: dict[int, str] = field(default_factory=dict)  # by grant: its newest refresh token
    oauth2: OAuth2 = field(init=False)
    _grants: int = 0

    def __post_init__(self) -> None:
        options = Options(oauth2_rotation=self.rotation, oauth2_ttl=self.life)
        self.oauth2 = OAuth2(options, MachineClock(self.machine))

    def grant(self) -> tuple[int, str]:
        """Grant as a person does; the number of the grant and its first refresh token."""
        self._grants += 1
        text = f"fake-refresh-token-{self._grants}"
        number = self.oauth2.grant(None, text)
        self.newest[number] = text
        return number, text

    def ended(self, number: int) -> str | None:
        """Why a grant has ended, None if it has not."""
        [found] = [one["ended"] for one in self.oauth2.report() if one["grant"] == number]
        return None if found is None else str(found)

    def receive(self, request: UpstreamRequest, fault: str) -> Reply:
        """Execute a request."""
        headers = {
            name.lower(): value.reveal() if isinstance(value, Secret) else value
            for name, value in request.headers.items()
        }
        headers["host"] = HOST
        url = urlsplit(request.url)
        reply = self.oauth2.answer(Request(request.method, url.path, url.query, headers, request.body))
        if request.method == "POST":
            self._note(reply, reply.detail, fault)
        return reply

    def _note(self, reply: Reply, detail: Any, fault: str) -> None:
        grant, rotated = detail.get("grant"), detail.get("new_refresh_token")
        if rotated is not None:
            self.newest[grant] = orjson.loads(reply.body)["refresh_token"]
        index, reuse = detail.get("refresh_token"), bool(detail.get("reuse"))
        self.received.append(Received(grant, self.machine.elapsed, index, reuse, rotated, fault))
