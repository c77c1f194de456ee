"""TLS that cannot be trusted, from real servers to the real daemon: closed, the others go on, and status says which."""

import ssl
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.daemon.harness import Home, until
from tests.faults.needs import when_asked_for
from tests.faults.test_network_bodies import failures
from tests.faults.upstream import Talk, kind, living, provider, upstream

HERE = "127.0.0.1"
DAY = timedelta(days=1)
NOT_TRUSTED = "its TLS certificate is not trusted"


def server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's context."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(made)
    return made


def old(authority: trustme.CA) -> ssl.SSLContext:
    """One that speaks nothing newer than TLS 1.1."""
    made = server(authority.issue_cert(HERE))
    with pytest.warns(DeprecationWarning):
        made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    made.set_ciphers("ALL:@SECLEVEL=0")
    return made


def asking(authority: trustme.CA) -> ssl.SSLContext:
    """One that wants to know who we are."""
    made = server(authority.issue_cert(HERE))
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def self_signed(path: Path) -> ssl.SSLContext:
    """An authority that is its own server."""
    nobody = trustme.CA()
    nobody.private_key_pem.write_to_path(str(path))
    nobody.cert_pem.write_to_path(str(path), append=True)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(path)
    return made


def closed(talk: Talk) -> None:
    """Read the client's hello, and hang up."""
    talk.sock.recv(65536)


def plain_http(talk: Talk) -> None:
    """Take the client's hello for a bad request."""
    talk.sock.recv(65536)
    talk.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def hanging(talk: Talk) -> None:
    """Read the client's hello, and say nothing."""
    talk.gone()


@when_asked_for
def test_every_doubt_about_tls_fails_closed_and_is_named(home: Home) -> None:
    """docs/promises.md 22: no request leaves; the hang ends after 5 s; the class is transient; others are served."""
    authority, now = trustme.CA(), datetime.now(UTC)
    authority.cert_pem.write_to_path(str(home.path / "ca.pem"))
    past = authority.issue_cert(HERE, not_before=now - 2 * DAY, not_after=now - DAY)
    future = authority.issue_cert(HERE, not_before=now + DAY, not_after=now + 2 * DAY)
    contexts: dict[str, tuple[ssl.SSLContext, str]] = {
        "unknown": (server(trustme.CA().issue_cert(HERE)), f"{NOT_TRUSTED} (unable to get local issuer certificate)"),
        "self-signed": (self_signed(home.path / "self.pem"), f"{NOT_TRUSTED} (self-signed certificate)"),
        "wrong-host": (server(authority.issue_cert("127.0.0.2")), f"{NOT_TRUSTED} (IP address mismatch"),
        "expired": (server(past), f"{NOT_TRUSTED} (certificate has expired)"),
        "not-yet": (server(future), f"{NOT_TRUSTED} (certificate is not yet valid)"),
        "old": (old(authority), "TLS failed ("),
        "asking": (asking(authority), "TLS failed (tlsv13 alert certificate required)"),
    }
    with ExitStack() as servers:
        tls = {name: servers.enter_context(upstream(kind, tls=one)) for name, (one, _) in contexts.items()}
        plain = {
            "hanging": (servers.enter_context(upstream(hanging)), "TLS did not begin within 5 s of the connection"),
            "closed": (servers.enter_context(upstream(closed)), "it closed the connection in the middle of TLS"),
            "no-tls": (servers.enter_context(upstream(plain_http)), "TLS failed (wrong version number)"),
        }
        good = servers.enter_context(upstream(kind, tls=server(authority.issue_cert(HERE))))
        every = {**tls, **{name: one for name, (one, _) in plain.items()}}
        urls = {name: f"https://{HERE}:{one.port}" for name, one in every.items()}
        trusting = 'ca_file = "ca.pem"'
        daemon = home.start(
            provider("good", good.url, trusting), *(provider(name, url, trusting) for name, url in urls.items())
        )
        assert until(lambda: daemon.lease("good"), "the token of the good one")
        said = until(lambda: len(found := failures(daemon)) == len(every) and found, "every refusal")
        expected = {name: words for name, (_, words) in {**contexts, **plain}.items()}
        wrong = "\n".join(said[name] for name, words in expected.items() if words not in said[name])
        assert not wrong, wrong
        assert {row["last_error"]["class"] for row in daemon.status()["tokens"] if row["last_error"]} == {"transient"}
        # The client may send before the server has looked at its certificate; nobody else has heard a thing.
        assert [name for name, one in every.items() if one.requests] == []


@when_asked_for
def test_an_authoritys_file_and_a_client_certificate_are_read_again_when_they_are_replaced(home: Home) -> None:
    """docs/promises.md 22: they are replaced while a daemon runs, some every few hours: nobody has to restart it."""
    first, second = trustme.CA(), trustme.CA()
    file, ours = home.path / "ca.pem", home.path / "ours.pem"

    def install(authority: trustme.CA) -> ssl.SSLContext:
        new = home.path / "new.pem"
        authority.issue_cert("tokend.example").private_key_and_cert_chain_pem.write_to_path(str(new))
        new.replace(ours)
        authority.cert_pem.write_to_path(str(new))
        new.replace(file)
        context = server(authority.issue_cert(HERE))
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
        return context

    with upstream(living(minutes=0.1), tls=install(first)) as one:
        daemon = home.start(provider("px", one.url, 'ca_file = "ca.pem"', 'client_cert = "ours.pem"'))
        before = until(lambda: daemon.lease("px"), "the first token")
        one.tls = install(second)
        until(lambda: daemon.lease("px")["generation"] > before["generation"], "a token from the renewed server")
        assert daemon.log("token.refresh_failed") == []


@when_asked_for
def test_a_server_that_closes_idle_connections_costs_no_refresh(home: Home) -> None:
    """docs/decisions/0007: a kept connection would be half-open at the next refresh: none is kept, although offered."""
    with upstream(living(minutes=0.1)) as one:
        daemon = home.start(provider("px", one.url))
        first = until(lambda: daemon.lease("px"), "the first token")
        until(lambda: daemon.lease("px")["generation"] > first["generation"], "the next")
        assert one.connections == len(one.requests)
        assert daemon.log("token.refresh_failed") == []
