"""A daemon with one provider, which a test may change."""

from collections.abc import Iterator

import pytest

from tests.cli.running import Running, daemon, short_directory, write_config

CONFIG = """\
[daemon]
socket = "tokend.sock"
socket_mode = "0666"
state_directory = "state"

[providers.one]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
ttl = "15m"
claims = {{ clientId = "one" }}
jti = true

[[providers.one.sinks]]
kind = "raw"
path = "one.jwt"
"""


@pytest.fixture
def own() -> Iterator[Running]:
    """A daemon of the test's own, which it may change."""
    with short_directory() as directory, daemon(write_config(directory, CONFIG)) as running:
        running.becomes("one", "valid")
        yield running
