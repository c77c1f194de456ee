"""TLS contexts: one for the whole daemon, and an upstream's own one where its settings name files.

Verification is never off. A context takes 20-33 ms and up to 0.8 MB: it is created in a thread and shared.
"""

import errno
import os
import ssl
import threading
import weakref
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from tokend.files import UntrustedError, require_safe
from tokend.machine.late_imports import import_alone
from tokend.machine.thread_pool import Threads
from tokend.plugin.tls_files import tls_faults
from tokend.plugin.tls_settings import HeldPem, TlsSettings
from tokend.values.errors import TransientError, UnsafePathError

T = TypeVar("T")

# Limit for reading the files; a disk that hangs is abandoned.
READ_SECONDS = 10.0

_shared: ssl.SSLContext | None = None
# A thousand providers may start at once: one creates the context, the others wait for it.
_making = threading.Lock()
# Those that have a context of their own, with a private key perhaps.
_with_own: "weakref.WeakSet[Contexts]" = weakref.WeakSet()


class Contexts:
    """Context of one upstream: the shared one, or its own, which is created again when one of its files has changed.

    Authorities and client certificates are replaced while a daemon runs, some of them every few hours.
    """

    def __init__(self, network: TlsSettings | None, threads: Threads) -> None:
        named = () if network is None else (network.ca_file, network.client_cert, network.client_key)
        self._files = [str(path) for path in named if path is not None]
        self._network = network
        self._threads = threads
        self._own: tuple[object, ssl.SSLContext] | None = None

    async def current(self, host: str) -> ssl.SSLContext:
        """Return the context for ``host``. Raises `TransientError` where a file of the settings cannot be used.

        `UnsafePathError` where somebody else decides its content.
        """
        if self._network is None or not (self._files or self._network.tls_strict or self._network.holds_pem):
            return await self.shared(host)
        call = partial(_make_own, self._network, self._files, self._own)
        self._own = own = await self.run(call, f"{host}: ca_file, client_cert or client_key")
        _with_own.add(self)
        return own[1]

    def forget(self, paths: Collection[str]) -> None:
        """Drop the context of its own if one of its files is among ``paths``, or if it may be: a store's file names
        others."""
        if (self._network is not None and self._network.holds_pem) or not set(paths).isdisjoint(self._files):
            self._own = None
            _with_own.discard(self)

    async def shared(self, host: str) -> ssl.SSLContext:
        """Return the context without files. It is created in a thread once; later calls need no thread."""
        if _shared is not None:
            return _shared
        return await self.run(_make_shared, f"{host}: this machine's certificate authorities")

    async def run(self, call: Callable[[], T], what: str) -> T:
        """Run ``call``, which reads files, in a thread. Raises `TransientError`, which begins with ``what``."""
        try:
            return await self._threads.run(call, seconds=READ_SECONDS)
        except UntrustedError as error:
            raise UnsafePathError(f"{what} is at an unsafe path: {error.strerror}") from None
        except TimeoutError as error:
            raise TransientError(f"{what} cannot be read: {error or 'the disk hangs'}") from None
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = type(error).__name__ if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
            raise TransientError(f"{what} cannot be used: {reason or type(error).__name__}") from None


def forget_contexts(paths: Iterable[Path]) -> None:
    """Drop the contexts that were made of files which changed: a replaced private key must not stay in memory."""
    changed = frozenset(map(str, paths))
    for contexts in list(_with_own):
        contexts.forget(changed)


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """Make a context for a client that speaks another protocol than HTTP. Blocks.

    Raises OSError or ValueError, which names the file and what it is.
    """
    files = [str(path) for path in (settings.ca_file, settings.client_cert, settings.client_key) if path is not None]
    return _make_own(settings, files, None)[1]


def trouble(error: BaseException) -> str | None:
    """Return the TLS error among the causes of ``error`` in words that quote no library; None if there is none."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLEOFError):
            return "it closed the connection in the middle of TLS"
        if isinstance(cause, ssl.SSLError):
            # A constant of OpenSSL, as TLSV13_ALERT_CERTIFICATE_REQUIRED.
            return f"TLS failed ({(cause.reason or 'no reason given').lower().replace('_', ' ')})"
    return None


def causes(error: BaseException | None) -> list[BaseException]:
    """Return an exception and all of its causes, latest first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _make_shared() -> ssl.SSLContext:
    global _shared
    with _making:
        if _shared is not None:
            return _shared
        _shared = _well_known()
        return _shared


def _well_known() -> ssl.SSLContext:
    """Return a context with the machine's authorities and those of certifi: a slim image has only the latter."""
    import_alone("certifi")
    import certifi

    context = _adjusted(ssl.create_default_context())
    context.load_verify_locations(cafile=certifi.where())
    return context


def _make_own(
    network: TlsSettings, files: list[str], before: tuple[object, ssl.SSLContext] | None
) -> tuple[object, ssl.SSLContext]:
    """Return the stamps of the files and a context; those from ``before`` if the stamps are the same.

    Raises OSError or ValueError, which names the file and what it is.
    """
    held = network.held_pem()
    files = [*files, *map(str, held.files)]
    for path in files:
        require_safe(path)
    seen = [(found.st_ino, found.st_size, found.st_mtime_ns) for found in map(os.stat, files)]
    if before is not None and before[0] == seen:
        return before
    try:
        return seen, _context_of(network, held)
    except (OSError, ValueError):
        if (fault := _named_fault(network)) is None:
            raise
        raise fault from None


def _context_of(network: TlsSettings, held: HeldPem) -> ssl.SSLContext:
    if network.ca_file is not None:
        context = _adjusted(ssl.create_default_context(cafile=str(network.ca_file)))
    elif held.authorities is not None:
        context = _adjusted(ssl.create_default_context(cadata=held.authorities.decode("ascii")))
    else:
        context = _well_known()
    if network.tls_strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    if network.client_cert is not None:
        key = None if network.client_key is None else str(network.client_key)
        # A daemon has no terminal to ask for a passphrase.
        context.load_cert_chain(str(network.client_cert), key, password=lambda: "")
    elif held.certificate is not None:
        _load_from_memory(context, held.certificate)
    return context


def _load_from_memory(context: ssl.SSLContext, certificate: bytes) -> None:
    """Load a certificate with its key. OpenSSL wants the name of a file: this one is in memory only."""
    with os.fdopen(os.memfd_create("client", os.MFD_CLOEXEC), "wb") as file:
        file.write(certificate)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=lambda: "")


def _named_fault(network: TlsSettings) -> OSError | None:
    """Return what is wrong with a file, in words that OpenSSL does not have; None if nothing is found."""
    fault = next(tls_faults(network), None)
    return None if fault is None else OSError(errno.EINVAL, f"{fault[0]}: {fault[1]}")


def _adjusted(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python 3.13 sets it, and refuses authorities that earlier versions, curl and most programs accept.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # RFC 9110, 4.3.4: a host is named by subjectAltName; authorities do not check what else stands in a common name.
    context.hostname_checks_common_name = False
    return context
