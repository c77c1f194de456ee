"""Names that are not resolved, by a name server of the test's own in a network of its own, for the real daemon."""

import itertools
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
import trustme

from tests.daemon.harness import Home, until
from tests.faults.needs import need, when_asked_for
from tests.faults.network import NXDOMAIN, SERVFAIL, Network, name_server, network
from tests.faults.test_network_bodies import failures
from tests.faults.upstream import Upstream, kind, provider, upstream

pytestmark = when_asked_for
PORT = 8443
# The system prefers the address that is most like its own: the dead one comes first.
HERE, DEAD, REFUSING = "127.0.0.9", "127.0.0.1", "127.0.0.8"
# More than the threads that look up names at a time would be, were each name to hold one.
SILENT = [f"silent{number}.test" for number in range(20)]
NAMES = ["good.test", "slow.test", "dead-first.test", "moving.test", "missing.test", "failing.test", *SILENT]


@pytest.fixture
def net(home: Home) -> Iterator[Network]:
    """A network of this test's own."""
    need("unshare", "nsenter", "ip", "nft", root=True)
    with network(home.path) as one:
        yield one


@pytest.fixture
def served(home: Home, net: Network) -> Iterator[Upstream]:
    """An upstream that has a certificate for every name, at `HERE` and nowhere else."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(home.path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*NAMES).configure_cert(context)
    with upstream(kind, tls=context, listening=net.listen(HERE, PORT)) as one:
        yield one


def named(host: str) -> str:
    """A provider that is reached by a name, and is called after it."""
    return provider(host.partition(".")[0], f"https://{host}:{PORT}", 'ca_file = "ca.pem"')


def test_a_name_that_is_not_resolved_concerns_nobody_else(home: Home, net: Network, served: Upstream) -> None:
    """docs/promises.md 23: silence, NXDOMAIN, SERVFAIL, slowness, dead and changing addresses; soft, own threads, and
    SIGTERM waits for none of them."""
    moves = itertools.chain([[REFUSING]], itertools.repeat([HERE]))

    def zone(name: str) -> list[str] | int | None:
        if name.startswith("silent"):
            return None
        if name == "slow.test":
            threading.Event().wait(2.0)
        zones: dict[str, list[str] | int] = {
            "missing.test": NXDOMAIN,
            "failing.test": SERVFAIL,
            "dead-first.test": [DEAD, HERE],
        }
        return next(moves) if name == "moving.test" else zones.get(name, [HERE])

    net.rule(f"ip daddr {DEAD} tcp dport {PORT} drop")
    with name_server(net, zone) as server:
        daemon = home.start(*(named(host) for host in SILENT), wrap=net.wrap)
        until(lambda: len({name for name in server.asked if name in SILENT}) > 10, "many silent look-ups")
        home.write(*(named(host) for host in NAMES))
        assert daemon.ask("POST", "/v1/reload").status == 200
        for name in ("good", "slow", "dead-first", "moving"):
            until(partial(daemon.lease, name), f"the token of {name}")
        said = until(lambda: len(found := failures(daemon)) == len(SILENT) + 2 and found, "every refusal")
        assert said["missing"] == f"missing.test:{PORT}: name or service not known"
        assert said["failing"] == f"failing.test:{PORT}: temporary failure in name resolution"
        silence = "the name was not resolved within 5 s: do the servers of /etc/resolv.conf answer?"
        assert {said[host.partition(".")[0]].partition(": ")[2] for host in SILENT} == {silence}
        rows = {row["name"]: row for row in daemon.status()["tokens"]}
        assert {row["last_error"]["class"] for row in rows.values() if row["last_error"]} == {"transient"}
        assert len([line for line in daemon.log("token.refresh_failed") if "token=moving" in line]) == 1
        began = time.monotonic()
        assert daemon.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 4


def test_a_name_server_that_comes_back_is_used_at_the_next_attempt(home: Home, net: Network, served: Upstream) -> None:
    """docs/promises.md 23: no resolver at start is no reason to stay without one."""
    net.resolver("nameserver 127.0.0.53\n")
    daemon = home.start(named("good.test"), wrap=net.wrap)
    said = until(lambda: failures(daemon).get("good"), "the failure")
    assert said == f"good.test:{PORT}: temporary failure in name resolution"
    with name_server(net, lambda _: [HERE]):
        until(lambda: daemon.lease("good"), "the token")
        assert len(daemon.log("token.refresh_failed")) == 1
