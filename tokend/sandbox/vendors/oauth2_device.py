"""Authorization of a device: its code, the page for the person, and the polls (RFC 8628)."""

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.vendors import oauth2_pages as pages
from tokend.sandbox.vendors.oauth2_grants import Grant, Grants
from tokend.sandbox.vendors.oauth2_metadata import ISSUER, SCOPES, origin
from tokend.sandbox.vendors.oauth2_parameters import NOT_STORED, OAuthError

PAGE = f"{ISSUER}/device"
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, no words (RFC 8628, section 6.1)
_MOST = 1000  # the oldest is dropped first
_SLOWER_SECONDS = 5


@dataclass(slots=True, repr=False)
class _Device:
    client: str
    scopes: tuple[str, ...]
    ends: float
    interval: float
    polled: float | None = None
    decided: Grant | bool | None = None  # None: not yet; False: denied; True: the grant was fetched


class Devices:
    """Devices in memory. Not thread-safe: the vendor's lock is held around each call."""

    def __init__(self, clock: SandboxClock, grants: Grants, *, interval: float, life: float) -> None:
        self._clock, self._grants, self._interval, self._life = clock, grants, interval, life
        self._by_device: OrderedDict[str, _Device] = OrderedDict()
        self._by_user: OrderedDict[str, _Device] = OrderedDict()

    def begin(self, request: Request, client: str, given: Mapping[str, str]) -> Reply:
        """Answer the device with its codes."""
        scopes = tuple(given.get("scope", "read write").split())
        if not set(scopes) <= set(SCOPES):
            raise OAuthError("invalid_scope", f"the scopes are {' '.join(SCOPES)}")
        device = _Device(client, scopes, self._clock.now() + self._life, self._interval)
        code = "sandbox-device-" + secrets.token_urlsafe(24)
        letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
        for memory, key in ((self._by_device, code), (self._by_user, letters)):
            memory[key] = device
            if len(memory) > _MOST:
                memory.popitem(last=False)
        shown, address = f"{letters[:4]}-{letters[4:]}", origin(request) + PAGE
        answer: dict[str, Any] = {
            "device_code": code,
            "user_code": shown,
            "verification_uri": address,
            "verification_uri_complete": f"{address}?{urlencode({'user_code': shown})}",
            "expires_in": max(1, round(self._life)),
            "interval": max(1, round(self._interval)),
        }
        return json_reply(200, answer, headers=NOT_STORED)

    def ask(self, request: Request, account: str) -> Reply:
        """Show the page for the code, and with a code the one for the decision."""
        given = request.parameters("user_code")
        if not given:
            return pages.code_form(PAGE)
        device = self._of(given[0])
        if device is None:
            return pages.says("This code is not known", "Begin again on the device.", status=400)
        return pages.form(PAGE, device.client, [("user_code", given[0])], account, device.scopes)

    def decide(self, request: Request, note: dict[str, Any]) -> Reply:
        """Take the person's answer."""
        fields = parse_qs(request.body.decode("utf-8", "replace"))
        device, account = self._of(fields.get("user_code", [""])[0]), fields.get("account", [""])[0]
        if device is None:
            return pages.says("This code is not known", "Begin again on the device.", status=400)
        if fields.get("decision") != ["allow"] or not account:
            device.decided = False
            return pages.says("Denied", "The device gets no access.")
        scopes = [scope for scope in device.scopes if scope in fields.get("scope", [])]
        device.decided = self._grants.begin(device.client, account, scopes)
        note["grant"] = device.decided.number
        return pages.says("Connected", "The device has access now. You can close this page.")

    def poll(self, code: str, client: str) -> Grant:
        """Return the grant, once a person has decided. Raises `OAuthError` until then."""
        device, now = self._by_device.get(code), self._clock.now()
        if device is None or device.client != client or device.decided is True:
            raise OAuthError("invalid_grant", "the device code is not known")
        if device.ends <= now:
            raise OAuthError("expired_token")
        early = device.polled is not None and now < device.polled + device.interval
        device.polled = now
        if early:
            device.interval += _SLOWER_SECONDS
            raise OAuthError("slow_down")
        if device.decided is None:
            raise OAuthError("authorization_pending")
        if device.decided is False:
            raise OAuthError("access_denied")
        grant, device.decided = device.decided, True
        return grant

    def _of(self, user_code: str) -> _Device | None:
        """Return the device that waits for a decision by this code."""
        device = self._by_user.get("".join(letter for letter in user_code.upper() if letter.isalpha()))
        waits = device is not None and device.decided is None and device.ends > self._clock.now()
        return device if waits else None
