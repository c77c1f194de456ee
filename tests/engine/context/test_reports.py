"""Reports of clients: what is counted, what is logged, and when the secret may be wrong."""

from typing import Any

from tests.httpd.served import logged
from tests.virtual import BOOT, EPOCH
from tokend.engine.context.counters import Counters
from tokend.engine.context.reports import LOG_SECONDS, WRONG_SECRET, Reports
from tokend.values.instant import Instant
from tokend.values.status import NO_REPORTS, ClientReports

NOW = Instant(EPOCH, BOOT)


def record(
    reports: Reports, generation: int = 7, *, reason: str = "unauthorized", after: float = 0, signed_here: bool = False,
    uid: int | None = 1001,
) -> None:  # fmt: skip
    reports.record("a", generation, reason=reason, uid=uid, now=NOW.after(after), signed_here=signed_here)


def test_reports_are_counted_by_token_and_the_last_is_kept() -> None:
    """A reason is `unauthorized` or `other`: a client chooses its words."""
    counters = Counters()
    reports = Reports(counters)
    assert reports.of("a") is NO_REPORTS
    record(reports)
    record(reports, reason="the token of alice was refused", after=5, uid=None)
    assert reports.of("a") == ClientReports(2, EPOCH.replace(second=5), "other", None)
    record(reports, after=9)
    assert reports.of("a") == ClientReports(3, EPOCH.replace(second=9), "unauthorized", 1001)
    assert reports.of("b") is NO_REPORTS
    assert dict(counters.reports) == {("a", "unauthorized"): 2, ("a", "other"): 1}


def test_a_token_has_one_warning_a_minute_with_the_number_of_reports() -> None:
    """A client that loops must not fill the log."""
    reports = Reports(Counters())
    with logged() as lines:
        for after in (0, 1, LOG_SECONDS - 1, LOG_SECONDS, LOG_SECONDS + 1):
            record(reports, after=after)
        reports.record("b", 3, reason="", uid=5, now=NOW.after(2), signed_here=False)
    found: list[Any] = [(line["log_level"], line["event"], line["token"], line["count"]) for line in lines]
    assert found == [
        ("warning", "token.reported", "a", 1), ("warning", "token.reported", "a", 3),
        ("warning", "token.reported", "b", 1),
    ]  # fmt: skip
    assert (lines[0]["reason"], lines[0]["uid"], lines[0]["generation"], lines[0]["detail"]) == (
        "unauthorized", 1001, 7, None,
    )  # fmt: skip
    assert lines[2]["reason"] == "other"


def test_the_secret_may_be_wrong_where_each_signed_token_was_reported() -> None:
    """Only for kinds that sign here: a login has proved the credentials. One token that nobody reported ends it."""
    counters = Counters()
    reports = Reports(counters)
    with logged() as lines:
        record(reports, 1, signed_here=True)
        assert reports.warnings("a", signed_here=True) == ()  # a token of before the start, which may have worked
        counters.refreshed("a", "success")
        record(reports, 2, signed_here=True, after=LOG_SECONDS)
        assert reports.warnings("a", signed_here=True) == (WRONG_SECRET,)
        assert reports.warnings("a", signed_here=False) == ()
        record(reports, 2, signed_here=True, after=LOG_SECONDS)  # another client, the same token
        counters.refreshed("a", "success")  # because of the report
        assert reports.warnings("a", signed_here=True) == (WRONG_SECRET,)
        record(reports, 3, signed_here=True, after=LOG_SECONDS)
        assert reports.warnings("a", signed_here=True) == (WRONG_SECRET,)
        for _ in range(2):
            counters.refreshed("a", "success")
        assert reports.warnings("a", signed_here=True) == ()  # one has lived without a report
        record(reports, 6, signed_here=True, after=LOG_SECONDS)
        assert reports.warnings("a", signed_here=True) == ()
        record(reports, 3, reason="slow", signed_here=True, after=LOG_SECONDS)
        assert reports.warnings("a", signed_here=True) == ()
    assert [line["detail"] for line in lines] == [None, WRONG_SECRET.message]
    assert "the secret may be wrong" in WRONG_SECRET.message
    assert reports.warnings("b", signed_here=True) == ()
