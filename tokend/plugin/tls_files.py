"""Files for TLS (authorities, a client's certificate, its key): whether they can be used, and else what they are.

Blocks. OpenSSL's own errors ("no start line") name neither the file nor the mistake.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tokend.files import read_whole
from tokend.plugin.tls_settings import TlsSettings

# The authorities of a whole machine have a quarter of a megabyte.
LARGEST_FILE_BYTES = 4 * 1024 * 1024
_BEGIN = re.compile(rb"^-----BEGIN ([A-Z0-9 ]+)-----\s*$", re.MULTILINE)
_BLOCK = re.compile(rb"^-----BEGIN ([A-Z0-9 ]+)-----\s*$.*?^-----END \1-----\s*$", re.MULTILINE | re.DOTALL)
_CERTIFICATES = (b"CERTIFICATE", b"TRUSTED CERTIFICATE", b"X509 CERTIFICATE")
_ENCRYPTED = re.compile(rb"^(-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)", re.MULTILINE)


def tls_faults(settings: TlsSettings) -> Iterator[tuple[str, str]]:
    """Yield the key and the fault of each file of TLS that cannot be used: "file PATH is empty", …"""
    contents: dict[str, bytes] = {}
    for key in ("ca_file", "client_cert", "client_key"):
        path: Path | None = getattr(settings, key)
        if path is None:
            continue
        try:
            content = contents[key] = read_whole(path, at_most=LARGEST_FILE_BYTES)
        except OSError as error:
            yield key, f"file {path} cannot be read: {error.strerror or error}"
            continue
        fault = _fault_of_key(content) if key == "client_key" else _fault_of_certificates(content)
        if fault is not None:
            del contents[key]
            yield key, f"file {path} {fault}"
    yield from _faults_of_pair(settings, contents)


def _faults_of_pair(settings: TlsSettings, contents: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield the fault of a certificate and its key, each of which is one for itself."""
    certificate, key = settings.client_cert, settings.client_key
    if certificate is None or "client_cert" not in contents or (key is not None and "client_key" not in contents):
        return
    if key is None and b"PRIVATE KEY-----" not in contents["client_cert"]:
        yield "client_cert", f"file {certificate} has no private key: set client_key, or append the key to the file"
    elif key is None and (fault := _fault_of_key(contents["client_cert"])) is not None:
        yield "client_cert", f"file {certificate} {fault}"
    else:
        import ssl

        try:
            # A daemon has no terminal to ask for a passphrase.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=lambda: "")
        except ssl.SSLError as error:
            what = "is not the key of the certificate" if "MISMATCH" in (error.reason or "") else "cannot be used"
            yield "client_key" if key else "client_cert", f"file {key or certificate} {what}: {_reason(error.reason)}"


def _fault_of_certificates(content: bytes) -> str | None:
    import ssl

    if (fault := _fault_of_format(content, "certificate")) is not None:
        return fault
    names = [match[1] for match in _BEGIN.finditer(content)]
    if not any(name in _CERTIFICATES for name in names):
        return f"is {_kind_of(names)}, not a certificate"
    whole = [match for match in _BLOCK.finditer(content) if match[1] in _CERTIFICATES]
    if len(whole) < sum(name in _CERTIFICATES for name in names):
        return f"is cut: certificate {len(whole) + 1} in it has no end"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number, block in enumerate(whole, 1):
        try:
            context.load_verify_locations(cadata=block[0].decode("ascii"))
        except (ssl.SSLError, ValueError):
            if block[1] == b"CERTIFICATE":
                return f"is damaged: certificate {number} in it cannot be decoded"
    return None


def _fault_of_key(content: bytes) -> str | None:
    if (fault := _fault_of_format(content, "private key")) is not None:
        return fault
    names = [match[1] for match in _BEGIN.finditer(content)]
    if not any(name.endswith(b"PRIVATE KEY") for name in names):
        return f"is {_kind_of(names)}, not a private key"
    if _ENCRYPTED.search(content):
        return "is encrypted: a daemon cannot ask for the passphrase. openssl pkey -in FILE writes it in clear"
    if not any(match[1].endswith(b"PRIVATE KEY") for match in _BLOCK.finditer(content)):
        return "is cut: the private key in it has no end"
    return None


def _fault_of_format(content: bytes, wanted: str) -> str | None:
    """Return what a file is that is no text with blocks of PEM."""
    if not content.strip():
        return "is empty"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16: save it as UTF-8"
    if content.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark: save it without one"
    if content[:1] == b"\x30" and content[1:2] >= b"\x80":
        return f"is {_kind_of_der(content)}; PEM is needed (-----BEGIN …-----)"
    if _BEGIN.search(content) is None:
        return f"holds no {wanted} (PEM: -----BEGIN …-----)"
    return None


def _kind_of_der(content: bytes) -> str:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content)
    except (ssl.SSLError, ValueError):
        return "binary: a key or request in DER, or PKCS #12"
    return "a certificate in DER (openssl x509 -inform der converts it)"


def _kind_of(names: list[bytes]) -> str:
    name = names[0].decode("ascii")
    if name.endswith("PRIVATE KEY"):
        return "a private key"
    known = {"CERTIFICATE": "a certificate", "PUBLIC KEY": "a public key", "X509 CRL": "a revocation list"}
    return known.get(name, "a certificate request" if name.endswith("REQUEST") else f"PEM of another kind ({name})")


def _reason(reason: str | None) -> str:
    return (reason or "no reason given").lower().replace("_", " ")
