"""Refreshes that are reports: the client says that an upstream refused its token."""

from pathlib import Path

import pytest

from tests.api.fake_engine import START
from tests.httpd.loopback_port import BEARER, listening
from tests.httpd.served import Served
from tokend.values.errors import ThrottledError
from tokend.values.status import NO_REPORTS


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"if_generation": 17, "reason": "unauthorized"}, "unauthorized"),
        ({"if_generation": 3, "reason": "unauthorized"}, "unauthorized"),
        ({"reason": "unauthorized"}, "unauthorized"),
        ({"if_generation": 17, "reason": "403 Forbidden"}, "other"),
        ({"if_generation": 17}, "other"),
        ({"if_generation": 18, "reason": "unauthorized"}, None),
        ({"if_generation": 17, "reason": "command line"}, None),
        ({"reason": "command line"}, None),
        ({}, None),
        ({"if_generation": "17", "reason": "unauthorized"}, None),
    ],
)
def test_a_refresh_of_a_client_that_was_refused_is_a_report(
    running: Served, body: dict[str, object], reason: str | None
) -> None:
    """With a generation that exists, or by an admin with the reason; what a person asks for is none."""
    running.post("/v1/tokens/demo/refresh", body)
    reports = running.inside(lambda: running.service.reports.of("demo"))
    if reason is None:
        assert reports is NO_REPORTS
    else:
        assert (reports.count, reports.last_at, reports.reason, reports.uid) == (1, START.wall, reason, 0)


def test_a_report_counts_also_where_no_attempt_is_allowed(running: Served) -> None:
    """Readers may cause few attempts; the reports are news all the same."""
    running.engine.raises = ThrottledError("later")
    assert running.post("/v1/tokens/demo/refresh", {"if_generation": 17, "reason": "unauthorized"}).status == 429
    assert running.inside(lambda: running.service.reports.of("demo").count) == 1


def test_a_report_over_loopback_has_no_uid(tmp_path: Path) -> None:
    """The kernel names no peer there."""
    with listening(tmp_path) as port:
        headers = {**BEARER, "Content-Type": "application/json"}
        body = {"if_generation": 17, "reason": "unauthorized"}
        assert port.ask("POST", "/v1/tokens/demo/refresh", headers, body=body).status == 200
        reports = port.beside.inside(lambda: port.beside.service.reports.of("demo"))
    assert (reports.count, reports.uid) == (1, None)
