"""A network that fails, in a namespace of the test's own: dropped, reset, lost and late, for the real daemon."""

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.daemon.harness import Home, until
from tests.faults.needs import need, when_asked_for
from tests.faults.network import Network, network
from tests.faults.process_usage import descriptors, has_descriptors
from tests.faults.test_network_bodies import failures
from tests.faults.upstream import Talk, grant, kind, living, provider, response, silent, upstream

pytestmark = when_asked_for
# Nobody listens there.
NOBODYS_PORT = 9


@pytest.fixture
def net(home: Home) -> Iterator[Network]:
    """A network of this test's own."""
    need("unshare", "nsenter", "ip", "nft", root=True)
    with network(home.path) as one:
        yield one


def test_what_is_dropped_reset_silent_or_late_ends_in_time_and_is_named(home: Home, net: Network) -> None:
    """docs/promises.md 1, 2, 9: 5 s for a connection, `timeout` in all (30 s by default), no descriptor leaked."""
    late_said = threading.Event()

    def late(talk: Talk) -> None:
        talk.request()
        threading.Event().wait(3.0)
        talk.say(response(grant(talk.upstream)))
        late_said.set()

    with (
        upstream(kind, listening=net.listen(port=8001)) as good,
        upstream(silent, listening=net.listen(port=8002)) as mute,
        upstream(late, listening=net.listen(port=8003)) as slow,
    ):
        net.rule("tcp dport 8011 drop")
        net.rule("tcp dport 8012 reject with tcp reset")
        net.rule("tcp dport 8013 reject with icmp type admin-prohibited")
        daemon = home.start(provider("good", good.url), wrap=net.wrap)
        until(lambda: daemon.lease("good"), "the token of the good one")
        opened = descriptors(daemon)
        tables = {
            "blackhole": provider("blackhole", "http://127.0.0.1:8011"),
            "reset": provider("reset", "http://127.0.0.1:8012"),
            "forbidden": provider("forbidden", "http://127.0.0.1:8013"),
            "nobody": provider("nobody", f"http://127.0.0.1:{NOBODYS_PORT}"),
            "silent": provider("silent", mute.url),
            "late": provider("late", slow.url, 'timeout = "2s"'),
        }
        home.write(provider("good", good.url), *tables.values())
        began = time.monotonic()
        assert daemon.ask("POST", "/v1/reload").status == 200
        seen: dict[str, float] = {}
        words: dict[str, str] = {}

        def every() -> bool:
            for name, detail in failures(daemon).items():
                seen.setdefault(name, time.monotonic() - began)
                words.setdefault(name, detail)
            return seen.keys() == tables.keys()

        until(every, "every failure", seconds=45)
        assert {name: words[name].partition(" ")[2] for name in tables if name not in ("silent", "late")} == {
            "blackhole": "no connection within 5 s",
            "reset": "connection refused",
            "forbidden": "no route to host",
            "nobody": "connection refused",
        }
        assert words["silent"].endswith("did not answer completely within 30 s")
        assert words["late"].endswith("did not answer completely within 2 s")
        assert 4.5 <= seen["blackhole"] < 10
        assert 29 <= seen["silent"] < 36
        assert late_said.wait(10)
        assert not daemon.row("late")["valid"]  # its answer came to nobody
        assert daemon.lease("good")
        home.write(provider("good", good.url))
        assert daemon.ask("POST", "/v1/reload").status == 200
        if opened is not None:
            until(partial(has_descriptors, daemon, opened), "the descriptors")


def test_a_network_that_loses_a_third_of_everything_brings_the_token(home: Home, net: Network) -> None:
    """docs/promises.md 9, P3: TCP repeats what is lost; what it cannot, the next attempt does, and none is hurried."""
    with upstream(living(minutes=0.5), listening=net.listen(port=8001)) as one:
        net.rule("tcp dport 8001 numgen random mod 100 < 30 drop")
        net.rule("tcp sport 8001 numgen random mod 100 < 30 drop")
        daemon = home.start(provider("px", one.url), wrap=net.wrap)
        until(lambda: daemon.lease("px"), "a token", seconds=150)
        until(lambda: home.out("px").exists(), "its file")
        assert len(daemon.log("token.refresh_failed")) <= 6  # 5, 10, 20, 40, 80 s and what comes in between


def test_a_network_that_goes_away_costs_nothing_but_the_time(home: Home, net: Network) -> None:
    """docs/promises.md 1, P2, P3: the token stays everywhere, the tries are 5 s apart at least; back, it is renewed."""
    with upstream(living(minutes=0.5), listening=net.listen(port=8001)) as one:
        daemon = home.start(provider("px", one.url, 'refresh_before = "15s"'), wrap=net.wrap)
        first = until(lambda: daemon.lease("px"), "the first token")
        net.run("ip", "link", "set", "lo", "down")
        row = until(lambda: (row := daemon.row("px"))["failures"] and row, "the failure", seconds=30)
        assert row["last_error"]["detail"].endswith(("network is unreachable", "no connection within 5 s"))
        assert (row["state"], row["valid"]) == ("failing", True)
        assert daemon.lease("px")["access_token"] == first["access_token"] == home.out("px").read_text()
        net.run("ip", "link", "set", "lo", "up")
        back = time.monotonic()
        until(lambda: daemon.lease("px")["generation"] > first["generation"], "the next token")
        assert time.monotonic() - back < 12  # the backoff of the first or second failure
        until(lambda: home.out("px").read_text() != first["access_token"], "the file")
        assert daemon.log("token.expired") == []
        assert len(daemon.log("token.refresh_failed")) == 1  # and at most one more was not worth a line
        assert len(one.requests) == 2


def test_a_name_server_in_the_network_is_not_needed_for_an_address(home: Home, net: Network) -> None:
    """docs/promises.md 23: without any resolver, what is reached by its address goes on."""
    net.resolver("nameserver 127.0.0.99\n")
    with upstream(kind, listening=net.listen(port=8001)) as one:
        daemon = home.start(provider("px", one.url), provider("named", "https://named.test"), wrap=net.wrap)
        until(lambda: daemon.lease("px"), "the token")
        said = until(lambda: failures(daemon).get("named"), "the refusal")
        assert said == "named.test:443: temporary failure in name resolution"
