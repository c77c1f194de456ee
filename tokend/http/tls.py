"""TLS contexts: one for the whole daemon, or an upstream's own where its settings name files.

Verification is never off. Making one takes 20-33 ms and up to 0.8 MB, so it is made in a thread and shared.
"""

import ssl
import threading

import anyio.to_thread

from tokend.errors import TransientError
from tokend.settings import NetworkSettings

_shared: ssl.SSLContext | None = None
# A thousand providers start at once: one makes the context, the others wait for that one.
_making = threading.Lock()


async def context_for(network: NetworkSettings | None, host: str) -> ssl.SSLContext:
    """The context to reach ``host`` with. Raises `TransientError` where a file of the settings cannot be used."""
    if network is None or (network.ca_file is None and network.client_cert is None):
        # Asking a thread costs a switch: only until there is one.
        return await anyio.to_thread.run_sync(_make_shared) if _shared is None else _shared
    try:
        return await anyio.to_thread.run_sync(_make_own, network)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = type(error).__name__ if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
        raise TransientError(
            f"{host}: ca_file, client_cert or client_key cannot be used: {reason or type(error).__name__}"
        ) from None


def trouble(error: BaseException) -> str | None:
    """What went wrong with TLS somewhere in the causes of ``error``, without quoting a library; None if nothing did."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            # A constant of OpenSSL, as TLSV13_ALERT_CERTIFICATE_REQUIRED.
            return f"TLS failed ({(cause.reason or 'no reason given').lower().replace('_', ' ')})"
    return None


def causes(error: BaseException | None) -> list[BaseException]:
    """An exception and everything that it came from, latest first."""
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
    """Trust the machine's own authorities and the well-known ones: a slim image has only the latter."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    return context


def _make_own(network: NetworkSettings) -> ssl.SSLContext:
    context = _well_known() if network.ca_file is None else ssl.create_default_context(cafile=str(network.ca_file))
    if network.client_cert is not None:
        key = None if network.client_key is None else str(network.client_key)
        # Never ask a terminal for a passphrase: a daemon has none.
        context.load_cert_chain(str(network.client_cert), key, password=lambda: "")
    return context
