"""Stage: the vendors of one sandbox, with routing by path, latency, faults and the journal. No sockets."""

import math
import threading
import time
from dataclasses import replace

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.faults import Behaviour, Faults
from tokend.sandbox.journal import Entry, Journal
from tokend.sandbox.messages import Reply, Request, http_status, json_reply
from tokend.sandbox.options import Options
from tokend.sandbox.vendors.github import GitHub
from tokend.sandbox.vendors.google import Google
from tokend.sandbox.vendors.oauth2 import OAuth2
from tokend.sandbox.vendors.partner import PORTFOLIO, Partner
from tokend.sandbox.vendors.projectx import LOGIN, ProjectX
from tokend.sandbox.vendors.railway import Railway
from tokend.sandbox.vendors.tt import TT
from tokend.sandbox.vendors.vault import Vault
from tokend.sandbox.vendors.vendor import Vendor
from tokend.sandbox.vendors.wallet import Wallet
from tokend.sandbox.vendors.xerve import GENERATE, Xerve
from tokend.sandbox.vendors.xerve_database import XerveDatabase

# How often an answer that is held back looks whether it may go out.
_LOOK_SECONDS = 0.02
GARBAGE = Reply(
    status=200, body=b"<html><body>Please sign in to the guest network</body></html>", content_type="text/html"
)


class Stage:
    """All vendors of one sandbox, with its clock, faults, journal and database. Thread-safe."""

    def __init__(self, options: Options) -> None:
        self.stopping = threading.Event()
        self.clock = SandboxClock(options.clock_skew)
        self.faults = Faults(fail_rate=options.fail_rate, seed=options.seed)
        self.journal = Journal()
        self.database = XerveDatabase(options.database)
        self.railway = Railway(options)
        self.oauth2 = OAuth2(options, self.clock)
        vendors: tuple[Vendor, ...] = (
            ProjectX(options, self.clock),
            Partner(options, self.clock),
            TT(options, self.clock),
            Wallet(options, self.clock),
            Xerve(options, self.clock, self.database),
            self.railway,
            Vault(options, self.clock),
            GitHub(options, self.clock),
            Google(options, self.clock),
            self.oauth2,
        )
        self.vendors = {vendor.name: vendor for vendor in vendors}
        self._latency = options.latency
        for name, behaviour in _from_the_start(options).items():
            self.faults.set(name, behaviour)

    def answer(self, request: Request) -> Reply:
        """Answer one request to a vendor, or play the fault that is due, and record the request."""
        for vendor in self.vendors.values():
            route = vendor.route(request.path)
            if route is not None:
                arrived = self.clock.now()
                with self.journal.arrived(vendor.name):
                    self.stopping.wait(self._latency)
                    changed = self.faults.changed(vendor.name)
                    behaviour = self.faults.draw(vendor.name, request.path)
                    reply = vendor.answer(request) if behaviour is None else self._play(vendor, request, behaviour)
                    status = 0 if reply.delivery == "none" else reply.status
                    fault = behaviour.mode if behaviour else None
                    self.journal.add(Entry(vendor.name, request.method, route, arrived, status, fault, reply.detail))
                    if behaviour is not None:
                        self._hold_back(behaviour, changed)
                return reply
        # An unknown path may hold a token: it is not recorded.
        self.journal.add(Entry("none", request.method, "(unknown)", self.clock.now(), 404))
        paths = {vendor.name: vendor.paths for vendor in self.vendors.values()}
        return json_reply(404, {"error": "no vendor has this path; paths lists theirs", "paths": paths})

    def close(self) -> None:
        """End delays and close the database."""
        self.stopping.set()
        self.database.close()

    def _play(self, vendor: Vendor, request: Request, behaviour: Behaviour) -> Reply:
        reply = vendor.answer(request) if behaviour.executed else None
        instead = _instead_of_an_answer(vendor, request, behaviour)
        if instead is not None:
            return replace(instead, detail=reply.detail if reply else {})
        if behaviour.mode == "hang":
            return Reply(status=500, delivery="none", detail=reply.detail if reply else {})
        if behaviour.mode == "slow" and not behaviour.executed:
            self.stopping.wait(behaviour.delay)
        reply = reply or vendor.answer(request)
        if behaviour.mode == "truncated":
            return replace(reply, delivery="truncated")
        return replace(reply, delivery="none") if behaviour.mode == "lost" else reply

    def _hold_back(self, behaviour: Behaviour, changed: threading.Event) -> None:
        """Wait where the fault is that the answer comes late, or never. The journal has the request already."""
        is_late = behaviour.mode == "slow" and behaviour.executed
        if not is_late and behaviour.mode != "hang":
            return
        until = time.monotonic() + behaviour.delay if is_late else math.inf
        while time.monotonic() < until and not changed.is_set() and not self.stopping.wait(_LOOK_SECONDS):
            pass


def _instead_of_an_answer(vendor: Vendor, request: Request, behaviour: Behaviour) -> Reply | None:
    """Return the reply of a fault that replaces the vendor's answer; None for faults that delay or damage it."""
    match behaviour.mode:
        case "reject":
            return vendor.refusal(request, behaviour.code)
        case "rate_limit":
            reply, value = vendor.failure(429), behaviour.retry_after
            return replace(reply, headers={**reply.headers, "Retry-After": value}) if value is not None else reply
        case "error":
            return vendor.failure(http_status(behaviour.code, 500))
        case "garbage":
            return GARBAGE
        case "redirect":
            return Reply(status=307, headers={"Location": behaviour.location})
        case "reset":
            return Reply(status=500, delivery="none")
        case _:
            return None


def _from_the_start(options: Options) -> dict[str, Behaviour]:
    """Return the lasting faults that the options ask for, by vendor."""
    wanted = {
        "projectx": (options.projectx_error_code, LOGIN),
        "partner": (options.partner_status, PORTFOLIO),
        "tt": (options.tt_status, "/ttid/"),
        "wallet": (options.wallet_status, "/"),
        "xerve": (options.xerve_status, GENERATE),
    }
    # LoginErrorCode 0 is Success, and therefore no fault.
    return {name: Behaviour("reject", code=code, path=path) for name, (code, path) in wanted.items() if code}
