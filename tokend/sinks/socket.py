"""``socket``: a Unix socket whose clients are sent the raw token. The server is `credentials.raw_token_server`."""

from pathlib import Path
from typing import ClassVar, Literal

from tokend.files import real_path
from tokend.plugin.settings import SinkSettings
from tokend.plugin.settings_base import Mode, Name, SocketPath
from tokend.values.tokens import Lease


class SocketSink(SinkSettings):
    """A Unix socket. The file's mode says who may connect, the provider's ``access`` who of them gets the token."""

    family: ClassVar[Literal["pushed", "remote", "served"]] = "served"

    kind: Literal["socket"] = "socket"
    path: SocketPath
    owner: Name | None = None
    group: Name | None = None
    mode: Mode = "0600"

    @property
    def target(self) -> str:
        """The socket's path."""
        return str(self.path)

    @property
    def file_path(self) -> Path:
        """The socket."""
        return self.path

    def exclusive_targets(self) -> frozenset[str]:
        """The socket's real path."""
        return frozenset({real_path(self.path)})

    def offer(self, lease: Lease) -> bytes:
        """Give exactly the token."""
        return lease.token.value.reveal_bytes()
