"""Variables of the environment that OpenSSL and Python's ssl module obey, whatever the program says."""

from collections.abc import Mapping

# openssl-env(7); the last is Python's own: it names a file for the keys of each connection.
TLS_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SSLKEYLOGFILE")


def tls_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set, with their values; a value that is no path is not shown."""
    return {
        name: value if value.startswith("/") else "(not shown)"
        for name in TLS_VARIABLES
        if (value := environ.get(name))
    }
