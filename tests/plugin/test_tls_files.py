"""Files for TLS that cannot be used are named, with what they are."""

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tokend.plugin.tls_files import tls_faults
from tokend.plugin.upstream_settings import UpstreamSettings

AUTHORITY = trustme.CA()
CLIENT, OTHER = AUTHORITY.issue_cert("client.example"), AUTHORITY.issue_cert("other.example")
CA_PEM = AUTHORITY.cert_pem.bytes()
KEY_PEM = CLIENT.private_key_pem.bytes()
CERT_PEM = CLIENT.cert_chain_pems[0].bytes()
DER = ssl.PEM_cert_to_DER_cert(CA_PEM.decode())


def key_in(encoding: serialization.Encoding, encryption: serialization.KeySerializationEncryption) -> bytes:
    key = serialization.load_pem_private_key(KEY_PEM, None)
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, encryption)


ENCRYPTED = key_in(serialization.Encoding.PEM, serialization.BestAvailableEncryption(b"obviously-fake"))
KEY_DER = key_in(serialization.Encoding.DER, serialization.NoEncryption())


def request() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "obviously fake")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def faults(directory: Path, **contents: bytes | None) -> dict[str, str]:
    """Return the faults by key, without the files' paths. None: the file is not there."""
    paths = {key: directory / f"{key}.pem" for key in contents}
    for key, content in contents.items():
        if content is not None:
            paths[key].write_bytes(content)
    found = dict(tls_faults(UpstreamSettings.model_validate({"base_url": "https://a.example", **paths})))
    for key, message in found.items():
        assert message.startswith(f"file {paths[key]} ")
        assert "obviously-fake" not in message
    return {key: message.removeprefix(f"file {paths[key]} ") for key, message in found.items()}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read: No such file or directory (open)"),
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (DER, "is a certificate in DER (openssl x509 -inform der converts it); PEM is needed (-----BEGIN …-----)"),
        (KEY_DER, "is binary: a key or request in DER, or PKCS #12; PEM is needed (-----BEGIN …-----)"),
        (KEY_PEM, "is a private key, not a certificate"),
        (request(), "is a certificate request, not a certificate"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is a public key, not a certificate"),
        (CA_PEM[:-80], "is cut: certificate 1 in it has no end"),
        (CERT_PEM + CA_PEM[:200], "is cut: certificate 2 in it has no end"),
        (CERT_PEM + CA_PEM.replace(b"\nMII", b"\nAAA"), "is damaged: certificate 2 in it cannot be decoded"),
        (CA_PEM.decode().encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (b"\xef\xbb\xbf" + CA_PEM, "begins with a byte order mark: save it without one"),
        (b"<html>404</html>", "holds no certificate (PEM: -----BEGIN …-----)"),
    ],
)
def test_an_unusable_file_of_authorities_is_named(tmp_path: Path, content: bytes | None, fault: str) -> None:
    """Missing, empty, DER, a key, a request, cut, damaged, a web page. A client's certificate alike."""
    assert faults(tmp_path, ca_file=content) == {"ca_file": fault}
    assert faults(tmp_path, client_cert=content, client_key=KEY_PEM) == {"client_cert": fault} or content == KEY_PEM


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (CERT_PEM, "is a certificate, not a private key"),
        (KEY_DER, "is binary: a key or request in DER, or PKCS #12; PEM is needed (-----BEGIN …-----)"),
        (ENCRYPTED, "is encrypted: a daemon cannot ask for the passphrase. openssl pkey -in FILE writes it in clear"),
        (KEY_PEM[:-40], "is cut: the private key in it has no end"),
        (OTHER.private_key_pem.bytes(), "is not the key of the certificate: key values mismatch"),
        (b"hello", "holds no private key (PEM: -----BEGIN …-----)"),
    ],
)
def test_an_unusable_key_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    """Also a key that is one, but of another certificate."""
    assert faults(tmp_path, client_cert=CERT_PEM, client_key=content) == {"client_key": fault}


def test_files_that_openssl_reads_have_no_fault(tmp_path: Path) -> None:
    """A bundle with text between, CRLF, a chain, a key beside its certificate in one file."""
    bundle = b"# an authority\n" + CA_PEM + b"\nand another\n" + trustme.CA().cert_pem.bytes()
    assert faults(tmp_path, ca_file=bundle, client_cert=CERT_PEM + CA_PEM, client_key=KEY_PEM) == {}
    assert faults(tmp_path, ca_file=CA_PEM.replace(b"\n", b"\r\n"), client_cert=KEY_PEM + CERT_PEM) == {}
    assert faults(tmp_path) == {}


def test_a_certificate_alone_needs_its_key(tmp_path: Path) -> None:
    """In a file of its own, or in the same file; not encrypted, there either."""
    fault = faults(tmp_path, client_cert=CERT_PEM)["client_cert"]
    assert fault == "has no private key: set client_key, or append the key to the file"
    assert faults(tmp_path, client_cert=CERT_PEM + ENCRYPTED)["client_cert"].startswith("is encrypted")
    assert "mismatch" in faults(tmp_path, client_cert=CERT_PEM + OTHER.private_key_pem.bytes())["client_cert"]


def test_the_authorities_of_this_machine_have_no_fault(tmp_path: Path) -> None:
    """A bundle of more than a hundred: it takes less than a second."""
    import certifi

    assert faults(tmp_path, ca_file=Path(certifi.where()).read_bytes()) == {}
