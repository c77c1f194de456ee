"""Variables that change what TLS connections trust: those that are set, and what may be shown of them."""

from tokend.machine.tls_environment import tls_environment


def test_only_what_is_set_is_listed_and_only_paths_are_shown() -> None:
    """An empty variable counts for nothing. Proxies are no part of it."""
    environ = {
        "SSL_CERT_FILE": "/etc/ca.pem",
        "SSL_CERT_DIR": "",
        "OPENSSL_CONF": "obviously-fake-secret",
        "HTTPS_PROXY": "http://proxy",
    }
    assert tls_environment(environ) == {"SSL_CERT_FILE": "/etc/ca.pem", "OPENSSL_CONF": "(not shown)"}
    assert tls_environment({}) == {}
