"""Clocks that move under the real daemon: suspended machines, stepped wall clocks, a year that nobody believes."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.faults.clocks import Clocks, make_clocks
from tests.faults.needs import need, when_asked_for
from tests.faults.upstream import Talk, Upstream, grant, living, provider, response, upstream

pytestmark = when_asked_for
MINUTE, HOUR = 60.0, 3600.0
# docs/promises.md P6, and what a busy machine may add.
NOTICED_SECONDS = 15.0
GRACE_SECONDS = 5.0
# In minutes. After 8 h: expired; in its last fifth, so that it is due; of no interest yet.
LIVES = {"short": 4 * 60.0, "due": 9 * 60.0, "long": 100 * 60.0}


@pytest.fixture
def clocks(home: Home) -> Clocks:
    """The clocks of the daemons of this home."""
    made = make_clocks(home.path)
    home.environ.update(made.environ)
    return made


@pytest.fixture
def upstreams() -> Iterator[dict[str, Upstream]]:
    """One upstream for each of the lives, by its name."""
    with ExitStack() as servers:
        yield {name: servers.enter_context(upstream(living(minutes))) for name, minutes in LIVES.items()}


def started(home: Home, upstreams: dict[str, Upstream]) -> Daemon:
    """A daemon that holds a token of each."""
    daemon = home.start(*(provider(name, one.url) for name, one in upstreams.items()))
    for name in upstreams:
        until(partial(daemon.lease, name), f"the token of {name}")
    return daemon.settled()


def requests(upstreams: dict[str, Upstream]) -> dict[str, int]:
    """How often each was asked."""
    return {name: len(one.requests) for name, one in upstreams.items()}


def generations(daemon: Daemon) -> dict[str, int]:
    """What each provider holds."""
    return {row["name"]: row["generation"] for row in daemon.status()["tokens"]}


def newer(daemon: Daemon, before: dict[str, int], *names: str) -> float:
    """Wait until all of these are newer than before; returns how long that took."""
    began = time.monotonic()
    until(
        lambda: all(generations(daemon)[name] > before[name] for name in names),
        f"newer tokens of {names}",
        seconds=NOTICED_SECONDS + GRACE_SECONDS,
    )
    return time.monotonic() - began


def test_the_clocks_of_a_process_are_what_the_test_makes_them(home: Home, clocks: Clocks) -> None:
    """Of the tests themselves: Python's clocks go through the preloaded ones, while it runs, each on its own."""
    code = (
        "import sys, time, datetime\n"
        "for line in sys.stdin:\n"
        "    print(time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME),\n"
        "        datetime.datetime.now().timestamp(), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clocks.environ,
    ) as process:  # fmt: skip
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def read() -> list[float]:
            stdin.write("\n")
            stdin.flush()
            return [float(one) for one in stdout.readline().split()]

        first = read()
        assert first[0] == pytest.approx(time.time(), abs=5)
        clocks.suspend(8 * HOUR)
        clocks.step(-24 * HOUR)
        moved = [now - then for now, then in zip(read(), first, strict=True)]
        assert moved == pytest.approx([-16 * HOUR, 0, 8 * HOUR, -16 * HOUR], abs=5)


def test_a_machine_that_slept_is_noticed_within_15_s_and_each_token_costs_one_request(
    home: Home, clocks: Clocks, upstreams: dict[str, Upstream]
) -> None:
    """docs/promises.md 28: what ran out while it slept is never served, what is due comes, the rest is left alone."""
    daemon = started(home, upstreams)
    before = generations(daemon)
    clocks.suspend(8 * HOUR)
    answer = daemon.get("/v1/tokens/short")
    assert answer.status == 503 or answer.json["generation"] > before["short"]
    assert newer(daemon, before, "short", "due") < NOTICED_SECONDS
    assert daemon.lease("short")["expires_at_unix"] == pytest.approx(time.time() + clocks.wall + 4 * HOUR, abs=60)
    assert requests(upstreams) == {"short": 2, "due": 2, "long": 1}
    until(lambda: home.out("short").read_text() == daemon.lease("short")["access_token"], "the file")
    assert daemon.log("token.refresh_failed") == []
    assert [line for line in daemon.log("token.expired") if "token=short" not in line] == []


@pytest.mark.parametrize("hours", [24, -24], ids=["ahead", "back"])
def test_a_wall_clock_that_is_stepped_costs_one_request_each_and_no_token(
    home: Home, clocks: Clocks, upstreams: dict[str, Upstream], hours: int
) -> None:
    """docs/promises.md 29, 30: the boot line says that all live still: none is withdrawn, from socket or file; the next
    ones have true times."""
    daemon = started(home, upstreams)
    before = generations(daemon)
    held = {name: daemon.lease(name)["access_token"] for name in LIVES}
    clocks.step(hours * HOUR)
    assert {name: daemon.lease(name)["access_token"] for name in LIVES} == held
    expected = ("short", "due") if hours > 0 else tuple(LIVES)
    assert newer(daemon, before, *expected) < NOTICED_SECONDS
    assert requests(upstreams) == {name: 2 if name in expected else 1 for name in LIVES}
    for name in expected:
        ends = time.time() + clocks.wall + LIVES[name] * MINUTE
        assert daemon.lease(name)["expires_at_unix"] == pytest.approx(ends, abs=60)
    assert daemon.log("token.expired") == daemon.log("token.refresh_failed") == []


def test_a_wall_clock_that_flaps_causes_no_storm(home: Home, clocks: Clocks, upstreams: dict[str, Upstream]) -> None:
    """docs/promises.md 31: a day ahead and back every few seconds; what is asked for stays bounded, all is served."""
    daemon = started(home, upstreams)
    for hours in (24, -24, -24, 24) * 2:
        clocks.step(hours * HOUR)
        for _ in range(25):
            assert all(daemon.lease(name) for name in LIVES)
            threading.Event().wait(0.1)
    assert max(requests(upstreams).values()) <= 3
    assert daemon.log("token.expired") == []


@pytest.mark.parametrize("year", [1970, 2099])
def test_a_clock_that_nobody_believes_makes_no_request_until_it_is_set(
    home: Home, clocks: Clocks, upstreams: dict[str, Upstream], year: int
) -> None:
    """docs/promises.md 36: class `clock`, in words that say what to do; once it is set, all comes by itself."""
    right = datetime(year, 1, 2, tzinfo=UTC).timestamp() - time.time()
    clocks.step(right)
    daemon = home.start(*(provider(name, one.url) for name, one in upstreams.items()))
    row = until(lambda: (row := daemon.row("long"))["last_error"] and row, "the refusal")
    assert row["last_error"]["class"] == "clock"
    assert row["last_error"]["detail"] == f"this machine's clock says {year}-01-02: set it (NTP), then it goes on"
    assert requests(upstreams) == dict.fromkeys(LIVES, 0)
    clocks.step(-right)
    for name in LIVES:
        until(partial(daemon.lease, name), f"the token of {name}", seconds=NOTICED_SECONDS + GRACE_SECONDS)
    assert requests(upstreams) == dict.fromkeys(LIVES, 1)


@pytest.mark.parametrize("rebooted", [False, True], ids=["same-boot", "another-boot"])
def test_a_token_that_ran_out_while_nobody_ran_is_never_served(
    home: Home, clocks: Clocks, upstreams: dict[str, Upstream], rebooted: bool
) -> None:
    """docs/promises.md 34, 35: at the next start it is not valid for a moment, and what lives on costs nothing. The
    boot line starts again with another boot_id, and is anchored by the wall clock."""
    started(home, upstreams).end(signal.SIGKILL)
    wrap: tuple[str, ...] = ()
    if rebooted:
        need("unshare", "mount", root=True)
        (home.path / "boot_id").write_text("00000000-0000-4000-8000-000000000000\n")
        command = f'mount --bind {home.path}/boot_id /proc/sys/kernel/random/boot_id && exec "$@"'
        wrap = ("unshare", "--mount", "sh", "-c", command, "sh")
    boot = MINUTE - time.clock_gettime(time.CLOCK_BOOTTIME) if rebooted else 24 * HOUR
    clocks.move(wall=24 * HOUR, boot=boot)
    with upstream(lambda talk: talk.gone()) as nobody:
        home.write(*(provider(name, nobody.url) for name in ("short", "due")), provider("long", upstreams["long"].url))
        daemon = home.start(wrap=wrap)
        for name in ("short", "due"):
            assert daemon.get(f"/v1/tokens/{name}").status == 503
        left = daemon.row("long")["seconds_left"]
        assert left == pytest.approx(LIVES["long"] * MINUTE - 24 * HOUR, abs=60)
        assert daemon.lease("long")
        assert requests(upstreams)["long"] == 1


def test_an_answer_that_came_while_the_process_was_stopped_is_not_published_as_fresh(
    home: Home, clocks: Clocks
) -> None:
    """docs/promises.md 38: ten minutes frozen with a request under way, whose token lives five: it is over already."""
    asked, goes_on, said = threading.Event(), threading.Event(), threading.Event()

    def behave(talk: Talk) -> None:
        if talk.request():
            asked.set()
            goes_on.wait(30)
            talk.say(response(grant(talk.upstream, minutes=5.0)))
            said.set()

    with upstream(behave) as one:
        daemon = home.start(provider("px", one.url))
        assert asked.wait(20)
        daemon.send(signal.SIGSTOP)
        clocks.suspend(10 * MINUTE)  # the timers stood still with the machine, or the deadline would end the exchange
        goes_on.set()
        assert said.wait(20)
        daemon.send(signal.SIGCONT)
        lease = until(lambda: daemon.lease("px"), "a token")
        assert lease["access_token"] == "obviously-fake-1"
        (line,) = daemon.log("token.refresh_failed")
        assert "the token had expired when it arrived" in line
        until(lambda: daemon.log("sink.written"), "the file, and the line that tells of it")
        assert home.out("px").read_text() == lease["access_token"]
        assert len(daemon.log("token.refreshed")) == len(daemon.log("sink.written")) == 1
