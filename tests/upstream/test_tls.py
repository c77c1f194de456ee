"""TLS fails closed: no setting switches verification off, and every doubt about a certificate ends the attempt."""

import json
import os
import socket
import ssl
import threading
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Reachable, reply, serving
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.tls_settings import HeldPem, TlsSettings
from tokend.upstream import tls
from tokend.upstream.client import Upstream
from tokend.values.errors import TransientError, UnsafePathError


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that only these tests know."""
    return trustme.CA()


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate, for ``ca_file``."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's context."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(made)
    return made


def contexts(**settings: Any) -> tls.Contexts:
    """Those of one upstream."""
    return tls.Contexts(Reachable(**settings), ThreadPool(1))


def ask(server: ssl.SSLContext, **settings: Any) -> UpstreamReply:
    """The reply over TLS."""

    async def main() -> UpstreamReply:
        async with serving(reply(b"{}"), tls=server) as loopback:
            upstream = Upstream(Reachable(**settings), clock=StandingClock(1_700_000_000))
            return await upstream.exchange(UpstreamRequest("GET", f"{loopback.url}/"))

    return anyio.run(main)


def refused(server: ssl.SSLContext, **settings: Any) -> TransientError:
    """The error of an exchange that TLS ended."""
    with pytest.raises(TransientError) as caught:
        ask(server, **settings)
    return caught.value


def test_a_private_authority_is_trusted_where_the_settings_name_it(authority: trustme.CA, authority_file: Path) -> None:
    """``ca_file`` is the way to a private upstream."""
    assert ask(context(authority.issue_cert("127.0.0.1")), ca_file=authority_file).status == 200


def test_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    """docs/promises.md 22: nobody vouches for it, so nothing is sent."""
    error = refused(context(authority.issue_cert("127.0.0.1")))
    assert "not trusted" in str(error)
    assert not error.repeatable


def test_another_hosts_certificate_is_refused(authority: trustme.CA, authority_file: Path) -> None:
    """docs/promises.md 22: the name counts."""
    assert "not trusted" in str(refused(context(authority.issue_cert("example.org")), ca_file=authority_file))


def test_a_common_name_is_no_host_s_name(tmp_path: Path) -> None:
    """RFC 9110, 4.3.4: only subjectAltName counts. A certificate without one fits no host, with and without ca_file."""
    files = named_by_common_name_only("localhost")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "server.pem")

    async def main() -> None:
        async with serving(reply(b"{}"), tls=server) as loopback:
            url = f"https://localhost:{loopback.port}/"
            upstream = Upstream(Reachable(ca_file=tmp_path / "ca.pem"), clock=StandingClock(1_700_000_000))
            with pytest.raises(TransientError, match=r"not trusted .*[Hh]ostname mismatch"):
                await upstream.exchange(UpstreamRequest("GET", url))
            assert loopback.requests == []
        for one in (await contexts().shared("host"), await contexts(ca_file=tmp_path / "ca.pem").current("host")):
            assert one.hostname_checks_common_name is False

    anyio.run(main)


def named_by_common_name_only(name: str, *, alternative: bool = False) -> dict[str, bytes]:
    """A server's certificate without subjectAltName (``alternative``: with it), as ``ca.pem`` and ``server.pem``."""
    key, ca_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of this test")])
    now = datetime.now(UTC)

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if alternative and not ca:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        return made.sign(ca_key, hashes.SHA256())

    authority = signed(issuer, ca_key.public_key(), ca=True)
    server = signed(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(), ca=False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"ca.pem": authority.public_bytes(pem), "server.pem": private + server.public_bytes(pem)}


def test_an_expired_certificate_is_refused(authority: trustme.CA, authority_file: Path) -> None:
    """docs/promises.md 22: its time counts."""
    old = authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    assert "expired" in str(refused(context(old), ca_file=authority_file))


def test_an_old_protocol_is_refused(authority: trustme.CA, authority_file: Path) -> None:
    """docs/promises.md 22: nothing below TLS 1.2."""
    server = context(authority.issue_cert("127.0.0.1"))
    with pytest.warns(DeprecationWarning):
        server.minimum_version = ssl.TLSVersion.TLSv1
        server.maximum_version = ssl.TLSVersion.TLSv1_1
    server.set_ciphers("ALL:@SECLEVEL=0")
    assert "127.0.0.1" in str(refused(server, ca_file=authority_file))


def test_a_client_certificate_is_shown(authority: trustme.CA, authority_file: Path, tmp_path: Path) -> None:
    """``client_cert`` and ``client_key`` prove who we are to an upstream that wants to know."""
    server = context(authority.issue_cert("127.0.0.1"))
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    ours = authority.issue_cert("tokend.example")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    ours.cert_chain_pems[0].write_to_path(str(certificate))
    ours.private_key_pem.write_to_path(str(key))
    assert ask(server, ca_file=authority_file, client_cert=certificate, client_key=key).status == 200


class Holding(Reachable):
    """An upstream whose certificates stand in a file of another format."""

    store: Path

    @property
    def holds_pem(self) -> bool:
        return True

    def held_pem(self) -> HeldPem:
        held = json.loads(self.store.read_text())
        return HeldPem(held["ca"].encode(), held["client"].encode(), (self.store,))


def test_certificates_in_a_file_of_another_format_count(authority: trustme.CA, tmp_path: Path) -> None:
    """Authority and client's certificate, from memory; another content counts from the next exchange on."""
    server = context(authority.issue_cert("127.0.0.1"))
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    ours = authority.issue_cert("tokend.example").private_key_and_cert_chain_pem.bytes().decode()
    store = tmp_path / "store.json"

    def hold(ca: trustme.CA) -> None:
        store.write_text(json.dumps({"ca": ca.cert_pem.bytes().decode(), "client": ours}))
        store.chmod(0o600)

    async def main() -> None:
        async with serving(reply(b"{}"), tls=server) as loopback:
            upstream = Upstream(Holding(store=store), clock=StandingClock(1_700_000_000))
            request = UpstreamRequest("GET", f"{loopback.url}/")
            hold(trustme.CA())
            with pytest.raises(TransientError, match="not trusted"):
                await upstream.exchange(request)
            hold(authority)
            assert (await upstream.exchange(request)).status == 200
            store.chmod(0o666)
            with pytest.raises(UnsafePathError):
                await upstream.exchange(request)

    anyio.run(main)


def test_trouble_after_the_handshake_is_named_as_tls(authority: trustme.CA, authority_file: Path) -> None:
    """A certificate of ours may be refused, or a record spoiled, when the request is on its way already."""

    def spoil(listener: socket.socket) -> None:
        connection = context(authority.issue_cert("127.0.0.1")).wrap_socket(listener.accept()[0], server_side=True)
        connection.recv(65536)
        os.write(connection.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)  # a record that nobody encrypted
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=spoil, args=(listener,))
        server.start()
        upstream = Upstream(Reachable(ca_file=authority_file), clock=StandingClock(1_700_000_000))
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TransientError, match=r"TLS failed \(.*bad record mac\)") as caught:
            anyio.run(upstream.exchange, UpstreamRequest("GET", url))
        server.join()
    assert not caught.value.repeatable


def test_a_client_certificate_alone_keeps_the_usual_authorities(authority: trustme.CA, tmp_path: Path) -> None:
    """Without ``ca_file`` the well-known authorities count, as everywhere else."""
    ours = tmp_path / "ours.pem"
    authority.issue_cert("tokend.example").private_key_and_cert_chain_pem.write_to_path(str(ours))

    async def main() -> None:
        shared = await contexts().current("host")
        own = await contexts(client_cert=ours).current("host")
        assert own is not shared
        assert own.cert_store_stats() == shared.cert_store_stats()

    anyio.run(main)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"], ids=["missing", "empty", "nonsense"])
def test_an_unusable_authority_file_is_an_error_of_the_attempt(
    authority: trustme.CA, tmp_path: Path, content: bytes | None
) -> None:
    """It never falls back to other authorities, and it is no crash."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    assert "ca_file" in str(refused(context(authority.issue_cert("127.0.0.1")), ca_file=path))


def test_one_context_serves_the_daemon() -> None:
    """A context of its own costs every provider 20 ms and 0.8 MB: it is made once, even by many at once."""

    async def main() -> None:
        found = []

        async def find() -> None:
            found.append(await contexts().current("host"))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(find)
        assert len({id(context) for context in found}) == 1
        assert found[0].verify_mode is ssl.CERT_REQUIRED
        assert found[0].check_hostname

    anyio.run(main)


def test_a_file_that_is_replaced_counts_from_the_next_exchange_on(tmp_path: Path) -> None:
    """Authorities are replaced while a daemon runs; while they are the same, no context is created again."""
    first, second, path = trustme.CA(), trustme.CA(), tmp_path / "ca.pem"

    async def main() -> None:
        first.cert_pem.write_to_path(str(path))
        found = contexts(ca_file=path)
        before = await found.current("host")
        assert await found.current("host") is before
        second.cert_pem.write_to_path(str(tmp_path / "new.pem"))
        (tmp_path / "new.pem").replace(path)
        after = await found.current("host")
        assert after is not before
        (trusted,) = after.get_ca_certs(binary_form=True)
        assert ssl.DER_cert_to_PEM_cert(trusted).split() == second.cert_pem.bytes().decode().split()
        path.unlink()
        with pytest.raises(TransientError, match=r"ca_file, .* cannot be used: No such file"):
            await found.current("host")

    anyio.run(main)


def authority_without_key_usage(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority that RFC 5280 forbids (it has no key usage), as many companies have, and a server."""
    files = named_by_common_name_only("localhost", alternative=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(directory / "server.pem")
    return directory / "ca.pem", server


@pytest.mark.parametrize("strict", [False, True])
def test_what_rfc_5280_forbids_is_refused_only_where_the_settings_say_so(tmp_path: Path, strict: bool) -> None:
    """Python 3.13 refuses such authorities by default; 3.11, curl and most programs accept them."""
    authority, server = authority_without_key_usage(tmp_path)

    async def main() -> None:
        async with serving(reply(b"{}"), tls=server) as loopback:
            upstream = Upstream(Reachable(ca_file=authority, tls_strict=strict), clock=StandingClock(1_700_000_000))
            request = UpstreamRequest("GET", f"https://localhost:{loopback.port}/")
            if strict:
                with pytest.raises(TransientError, match="not trusted"):
                    await upstream.exchange(request)
            else:
                assert (await upstream.exchange(request)).status == 200

    anyio.run(main)


def test_strictness_is_off_in_every_context_and_on_where_it_is_asked_for(authority_file: Path) -> None:
    """The shared one, one with authorities; with ``tls_strict`` also one without any file."""

    async def main() -> None:
        off = await contexts().shared("host"), await contexts(ca_file=authority_file).current("host")
        named = contexts(ca_file=authority_file, tls_strict=True)
        on = await contexts(tls_strict=True).current("host"), await named.current("host")
        assert not any(one.verify_flags & ssl.VERIFY_X509_STRICT for one in off)
        assert all(one.verify_flags & ssl.VERIFY_X509_STRICT for one in on)

    anyio.run(main)


def test_a_file_that_cannot_be_used_is_named_in_the_failure(tmp_path: Path) -> None:
    """It may have been replaced since the check."""
    (tmp_path / "ca.pem").write_bytes(b"")

    async def main() -> None:
        with pytest.raises(TransientError, match=r"cannot be used: ca_file: file .*/ca\.pem is empty"):
            await contexts(ca_file=tmp_path / "ca.pem").current("host")

    anyio.run(main)


def test_a_file_that_others_may_write_is_not_read(tmp_path: Path, authority_file: Path) -> None:
    """Somebody else could name the authorities: nothing is sent."""
    path = tmp_path / "ca.pem"
    path.write_bytes(authority_file.read_bytes())
    path.chmod(0o666)

    async def main() -> None:
        with pytest.raises(UnsafePathError, match="every user may write"):
            await contexts(ca_file=path).current("host")

    anyio.run(main)


def test_a_client_of_another_protocol_gets_a_context_of_its_own(authority_file: Path, tmp_path: Path) -> None:
    """It verifies names and chains, by the same files; a fault of a file is named."""
    made = tls.client_context(TlsSettings(ca_file=authority_file))
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(made.get_ca_certs()) == 1
    assert len(tls.client_context(TlsSettings()).get_ca_certs()) > 1
    (tmp_path / "wrong.pem").write_text("planted")
    with pytest.raises(OSError, match=r"ca_file: file .*/wrong\.pem holds no certificate"):
        tls.client_context(TlsSettings(ca_file=tmp_path / "wrong.pem"))


def test_a_context_whose_file_has_changed_is_dropped(authority: trustme.CA, tmp_path: Path) -> None:
    """It has the private key of before, and the next exchange may be hours away. The others stay."""
    pem, other = tmp_path / "client.pem", tmp_path / "other.pem"
    for path in (pem, other):
        authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(path))
        path.chmod(0o600)

    async def main() -> None:
        one, two = contexts(client_cert=pem), contexts(client_cert=other)
        kept = [weakref.ref(await made.current("localhost")) for made in (one, two)]
        shared = await contexts().current("localhost")
        tls.forget_contexts([pem, tmp_path / "unknown"])
        assert [made() is not None for made in kept] == [False, True]
        assert await two.current("localhost") is kept[1]()
        assert isinstance(await one.current("localhost"), ssl.SSLContext)
        assert await contexts().current("localhost") is shared

    anyio.run(main)
