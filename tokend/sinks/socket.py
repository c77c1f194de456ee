"""``socket``: whoever connects is sent the raw token. What a client gets, and where; the server is `api.handout`."""

from typing import Literal

from tokend.plugin.settings import SinkSettings
from tokend.plugin.settings_base import Mode, Name, SocketPath
from tokend.values.tokens import Lease


class SocketSink(SinkSettings):
    """A Unix socket. The file's mode says who may connect, the provider's ``access`` who of them gets the token."""

    kind: Literal["socket"] = "socket"
    path: SocketPath
    owner: Name | None = None
    group: Name | None = None
    mode: Mode = "0600"

    @property
    def target(self) -> str:
        """The socket's path."""
        return str(self.path)

    def offer(self, lease: Lease) -> bytes:
        """Exactly the token."""
        return lease.token.value.reveal_bytes()
