"""State files of 0.1.0: kept examples of every state, written by that version (git 7aad93c) in real runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from tests.expecting import present
from tokend.engine.records.attempt_states import Failing, Interrupted, Rejected, Settled, UnderWay
from tokend.engine.records.codec import dump, load
from tokend.engine.records.record import HostPause, Record
from tokend.engine.records.token_states import Held, NoToken, Withdrawn
from tokend.values.instant import Instant
from tokend.values.secret import Secret

EXAMPLES = Path(__file__).parent / "examples"
# Each file's name, the state of its token, the state of its attempts.
EXPECTED = {
    "clock": (NoToken, Failing),
    "expired": (Held, Failing),
    "failing": (Held, Failing),
    "failing-after-a-reboot": (Held, Failing),
    "given-at-the-start": (Held, Settled),
    "interrupted": (NoToken, Interrupted),
    "minted": (Held, Settled),
    "on-demand-rate-limited": (NoToken, Failing),
    "on-demand-refused-once": (NoToken, Failing),
    "on-demand-rejected": (NoToken, Rejected),
    "passed-to-another-kind": (Withdrawn, Settled),
    "pending": (NoToken, Failing),
    "rate-limited": (NoToken, Failing),
    "refused-once": (Held, Failing),
    "rejected": (NoToken, Rejected),
    "rejected-with-a-valid-token": (Held, Rejected),
    "renamed-away": (NoToken, Settled),
    "rotates": (Held, Settled),
    "under-way": (NoToken, UnderWay),
    "under-way-after-a-failure": (NoToken, UnderWay),
    "under-way-after-a-rejection": (Withdrawn, UnderWay),
    "unreadable-secret": (NoToken, Failing),
    "valid": (Held, Settled),
    "valid-without-an-end": (Held, Settled),
    "withdrawn": (Withdrawn, Failing),
}
# Members that 0.1.0 left behind although nothing reads them in that state.
UNUSED = {"lead_seconds", "jitter", "cost"}


def read(name: str, *, boot_id: str | None = None, now: Instant | None = None) -> Record:
    content = (EXAMPLES / f"{name}.json").read_bytes()
    document = orjson.loads(content)
    start = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
    found, record = load(content, boot_id=document["boot_id"] if boot_id is None else boot_id, now=now or start)
    assert found == "demo"
    return record


def test_every_example_is_expected() -> None:
    """A file that is added is read, and none is lost."""
    assert {path.stem for path in EXAMPLES.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_0_1_0_is_read_as_the_state_that_it_was_written_in(name: str) -> None:
    """Issue 9, seam 8: an upgrade makes no login."""
    record = read(name)
    assert (type(record.token), type(record.attempts)) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_0_1_0_is_written_again_as_it_was(name: str) -> None:
    """The form did not change: 0.1.0 reads what this version writes (docs/upgrading.md)."""
    content = (EXAMPLES / f"{name}.json").read_bytes()
    before = orjson.loads(content)
    written = dump("demo", read(name), before["boot_id"])
    after = orjson.loads(written)
    assert list(after) == list(before)
    assert {key for key in before if before[key] != after[key]} <= UNUSED
    assert load(written, boot_id=before["boot_id"], now=Instant(datetime.now(UTC), 0.0))[1] == read(name)
    if before["lease"] is not None and not before["failures"]:
        assert written + b"\n" == content


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_0_1_0_is_read_after_a_reboot(name: str) -> None:
    """The state stays; pauses and the token's end are those of the wall clock."""
    now = Instant(datetime(2026, 1, 1, 11, tzinfo=UTC), 20.0)
    record = read(name, boot_id="another boot", now=now)
    assert (type(record.token), type(record.attempts)) == EXPECTED[name]
    if record.lease is not None and (end := record.lease.token.expires_at) is not None:
        assert now.until(end) == pytest.approx((end.wall - now.wall).total_seconds())


def test_the_values_of_an_example_are_all_there() -> None:
    """Not only its state."""
    rotating = present(read("rotates").lease).token
    assert present(rotating.renewal).reveal() == "fake-refresh-token"
    link = rotating.extra["link"]
    assert isinstance(link, Secret)
    assert link.reveal() == "https://fake.invalid/x"
    assert rotating.extra["user"] == {"id": 7, "name": "somebody"}
    refused = read("refused-once")
    assert (refused.failures, refused.attempts.failures.refusals, present(refused.last_error).detail) == (
        1,
        1,
        "401: odd",
    )
    limited = read("rate-limited")
    assert isinstance(limited.host_pause, HostPause)
    assert limited.host_pause.host == "one"
    assert limited.next_attempt == limited.host_pause.until
    kept = read("under-way-after-a-rejection").attempts
    assert (kept.rejected_secrets, kept.failures.count) == (read("rejected").attempts.rejected_secrets, 2)
    adrift = read("failing-after-a-reboot").token
    assert isinstance(adrift, Held)
    assert adrift.adrift


def test_a_record_that_says_under_way_without_its_moments_is_read_as_at_rest() -> None:
    """Nothing writes that; it must not lose a token."""
    document = orjson.loads((EXAMPLES / "valid.json").read_bytes())
    document.update(under_way=True, next_attempt=None)
    record = load(orjson.dumps(document), boot_id="boot-1", now=Instant(datetime(2026, 1, 1, tzinfo=UTC), 1.0))[1]
    assert (type(record.token), type(record.attempts)) == (Held, Settled)


def test_versions_before_0_1_0_wrote_neither_cost_nor_under_way() -> None:
    """Their files are read, too."""
    document = orjson.loads((EXAMPLES / "failing.json").read_bytes())
    del document["cost"], document["under_way"]
    now = Instant(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=10), 37000.0)
    assert load(orjson.dumps(document), boot_id="boot-1", now=now)[1] == read("failing")


def test_failures_without_an_error_are_read() -> None:
    """Nothing writes them; they must not lose a token."""
    document = orjson.loads((EXAMPLES / "failing.json").read_bytes())
    document.update(last_error=None)
    record = load(orjson.dumps(document), boot_id="boot-1", now=Instant(datetime(2026, 1, 1, tzinfo=UTC), 1.0))[1]
    assert (record.failures, record.last_error) == (read("failing").failures, None)
