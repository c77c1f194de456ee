"""Kind ``socket``: a Unix socket that sends the raw token to its clients. `credentials.raw_token_server` serves it."""

from pathlib import Path
from typing import ClassVar, Literal

from tokend.files import real_path
from tokend.plugin.settings import SinkSettings
from tokend.plugin.settings_base import Mode, Name, SocketPath
from tokend.values.tokens import Lease


class SocketSink(SinkSettings):
    """A Unix socket. The socket's mode decides which peers can connect; ``access`` decides which get the token."""

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
        """The socket's path."""
        return self.path

    def exclusive_targets(self) -> frozenset[str]:
        """Return the socket's real path."""
        return frozenset({real_path(self.path)})

    def offer(self, lease: Lease) -> bytes:
        """Return the token's bytes and nothing else."""
        return lease.token.value.reveal_bytes()
