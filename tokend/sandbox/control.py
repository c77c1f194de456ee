"""Control endpoints below ``/_sandbox``: show and change the running sandbox, for tests and the demo."""

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from tokend.sandbox.faults import MODES, Behaviour
from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.options import parse_duration
from tokend.sandbox.stage import Stage

PREFIX = "/_sandbox"
_OAUTH_ERROR = re.compile(r"[a-z_]{1,40}")


class InvalidControlError(Exception):
    """A control request is wrong. The message gives the reason and repeats no value of the request."""


class Control:
    """Control endpoints of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._initial = {name: dict(vendor.credentials) for name, vendor in stage.vendors.items()}
        self._table: dict[tuple[str, str], Callable[[Request], object]] = {
            ("GET", PREFIX): self._index,
            ("GET", f"{PREFIX}/requests"): self._requests,
            ("GET", f"{PREFIX}/users"): lambda _: {"version": 1, "users": self._stage.database.report()},
            ("GET", f"{PREFIX}/railway"): lambda _: {"version": 1, "services": self._stage.railway.report()},
            ("GET", f"{PREFIX}/oauth2"): lambda _: {"version": 1, "grants": self._stage.oauth2.report()},
            ("POST", f"{PREFIX}/oauth2"): self._end_a_grant,
            ("POST", f"{PREFIX}/behaviour"): self._behaviour,
            ("POST", f"{PREFIX}/credentials"): self._credentials,
            ("POST", f"{PREFIX}/clock"): self._clock,
        }

    def answer(self, request: Request) -> Reply:
        """Answer one control request. An answer of 400 gives the reason; nothing has changed then."""
        if "origin" in request.headers:
            return json_reply(403, {"error": "browsers may not control the sandbox"})
        handler = self._table.get((request.method, request.path.rstrip("/")))
        if handler is None:
            return json_reply(404, {"error": "no such control endpoint; GET /_sandbox lists them"})
        try:
            return json_reply(200, handler(request))
        except InvalidControlError as error:
            return json_reply(400, {"error": str(error)})

    def _index(self, _: Request) -> object:
        return {
            "version": 1,
            "control": [f"{method} {path}" for method, path in self._table],
            "vendors": {name: sorted(vendor.credentials) for name, vendor in self._stage.vendors.items()},
            "paths": {name: vendor.paths for name, vendor in self._stage.vendors.items()},
            "modes": MODES,
        }

    def _requests(self, request: Request) -> object:
        vendors = parse_qs(request.query).get("vendor", [None])
        return self._stage.journal.report(vendors[0])

    def _behaviour(self, request: Request) -> object:
        fields = _body(request)
        vendor = self._vendor(fields)
        behaviour = _read_behaviour(fields)
        self._stage.faults.set(vendor, behaviour)
        return {"vendor": vendor, "mode": behaviour.mode if behaviour else None}

    def _credentials(self, request: Request) -> object:
        """Change the given fields of an account; ``restore: true`` first restores the values of the start."""
        fields = _body(request)
        name = self._vendor(fields)
        vendor = self._stage.vendors[name]
        restore = fields.pop("restore", False)
        unknown = fields.keys() - vendor.credentials.keys()
        if unknown:
            raise InvalidControlError(
                f"{name} has no {', '.join(sorted(unknown))}; it has {_names(vendor.credentials)}"
            )
        if not all(isinstance(value, str) for value in fields.values()) or not (fields or restore is True):
            raise InvalidControlError(f'give strings for any of {_names(vendor.credentials)}, or "restore": true')
        vendor.credentials = {**(self._initial[name] if restore is True else vendor.credentials), **fields}
        return {"vendor": name, "changed": sorted(fields)}

    def _end_a_grant(self, request: Request) -> object:
        """End what a person has granted, as somebody does who removes the application from an account."""
        number = _body(request).get("end")
        if type(number) is not int or not self._stage.oauth2.end(number):
            raise InvalidControlError("end is the number of a grant; GET /_sandbox/oauth2 lists them")
        return {"ended": number}

    def _clock(self, request: Request) -> object:
        skew = _body(request).get("skew")
        if isinstance(skew, bool) or not isinstance(skew, int | float) or not abs(skew) <= 50 * 366 * 86400:
            raise InvalidControlError("skew is a number of seconds, at most fifty years")
        self._stage.clock.skew = float(skew)
        return {"skew": skew, "now": self._stage.clock.now()}

    def _vendor(self, fields: dict[str, Any]) -> str:
        name = fields.pop("vendor", None)
        if not isinstance(name, str) or name not in self._stage.vendors:
            raise InvalidControlError(f"vendor is one of {_names(self._stage.vendors)}")
        return name


def _body(request: Request) -> dict[str, Any]:
    fields = request.json_object()
    if fields is None:
        raise InvalidControlError("the body must be a JSON object")
    return fields


def _read_behaviour(fields: dict[str, Any]) -> Behaviour | None:
    known = {"mode", "code", "count", "retry_after", "delay", "location", "path", "executed"}
    if fields.keys() - known:
        raise InvalidControlError(f"a behaviour has {_names(known)}, not {_names(fields.keys() - known)}")
    mode = fields.get("mode")
    if mode is None:
        return None
    if mode not in MODES:
        raise InvalidControlError(f"mode is null or one of {', '.join(MODES)}")
    count, code = fields.get("count"), fields.get("code")
    if count is not None and (type(count) is not int or count < 1):
        raise InvalidControlError("count is a whole number from 1, or null for without end")
    if code is not None and type(code) is not int and not _is_word(code):
        raise InvalidControlError("code is a whole number, TT's Fail or StatusFail, or an error code of OAuth")
    readers: dict[str, Callable[[object], Any]] = {
        "retry_after": _one_line,
        "delay": _seconds,
        "location": _one_line,
        "path": _one_line,
        "executed": _flag,
    }
    given = {name: read(fields[name]) for name, read in readers.items() if fields.get(name) is not None}
    return Behaviour(mode=mode, code=code, count=count, **given)


def _is_word(code: object) -> bool:
    return isinstance(code, str) and (code in ("Fail", "StatusFail") or _OAUTH_ERROR.fullmatch(code) is not None)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidControlError("executed is true or false")
    return value


def _seconds(value: object) -> float:
    try:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds <= 86400:
        raise InvalidControlError("delay is seconds or a duration such as 500ms, at most a day")
    return seconds


def _one_line(value: object) -> str:
    text = str(value)
    if not text.isascii() or not text.isprintable():
        raise InvalidControlError("a header's value is one line of ASCII")
    return text


def _names(names: Any) -> str:
    return ", ".join(sorted(names))
