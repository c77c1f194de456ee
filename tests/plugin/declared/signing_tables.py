"""Tables of signed requests, as a configuration has them, and the request that they make."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tokend.plugin.declared.built_in_names import COUNTERS, Moment
from tokend.plugin.declared.computed_value import ComputedValue
from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.request import RequestSettings
from tokend.plugin.declared.request_names import Values, needed
from tokend.plugin.declared.signed_request import Names
from tokend.plugin.http_exchange import UpstreamRequest

AT = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)


def values_of(written: Mapping[str, Any]) -> dict[str, ComputedValue]:
    return {name: ComputedValue.model_validate(table) for name, table in written.items()}


def request_of(written: Mapping[str, Any]) -> RequestSettings:
    return RequestSettings.model_validate({"method": "POST", "url": "https://api.example/v1/token", **written})


def made(table: str, given: Mapping[str, Value], at: datetime = AT, last: int = 0) -> UpstreamRequest:
    """Return the request of a TOML table with ``request`` and ``values``. Each counter is ``last`` + 1."""
    written = tomllib.loads(table)
    request, values = request_of(written["request"]), values_of(written.get("values", {}))
    counters = needed(request, values) & COUNTERS.keys()
    return filled(request, values, given, Moment(at, dict.fromkeys(counters, last + 1)))


def filled(request: RequestSettings, values: Values, given: Mapping[str, Value], moment: Moment) -> UpstreamRequest:
    """Return a request as the kinds make it."""
    return request.make(Names(values, given, moment, request))


def header(request: UpstreamRequest, name: str) -> str:
    """Return a header in clear."""
    value = request.headers[name]
    return value if isinstance(value, str) else value.reveal()
