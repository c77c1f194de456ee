"""A network of a test's own: a namespace with a loopback that nobody else has, and a name server that says anything.

The daemon runs inside, by `Network.wrap`; the servers are threads of the test, on sockets that were made inside.
"""

import ctypes
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CLONE_NEWNET = 0x40000000
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass
class Network:
    """What `network` made. It lives as long as its ``holder``."""

    holder: "subprocess.Popen[str]"
    directory: Path

    @property
    def wrap(self) -> tuple[str, ...]:
        """What is put before a command that is to run inside."""
        space = f"/proc/{self.holder.pid}/ns"
        return ("nsenter", f"--net={space}/net", f"--mount={space}/mnt")

    def run(self, *command: str) -> None:
        """Run a command inside; its failure is the test's."""
        subprocess.run([*self.wrap, *command], check=True, env={**os.environ, "PATH": PATH})

    def rule(self, text: str) -> None:
        """Add a rule for what arrives: ``tcp dport 80 drop``."""
        self.run("nft", "add", "rule", "inet", "faults", "arriving", text)

    def flush(self) -> None:
        """Drop all rules."""
        self.run("nft", "flush", "chain", "inet", "faults", "arriving")

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> socket.socket:
        """A listening TCP socket inside."""
        with self._inside():
            return socket.create_server((host, port), backlog=1024)

    def datagrams(self, host: str, port: int) -> socket.socket:
        """A bound UDP socket inside."""
        with self._inside():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((host, port))
            return made

    def resolver(self, text: str) -> None:
        """What stands in /etc/resolv.conf inside."""
        (self.directory / "resolv.conf").write_text(text)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        # A socket belongs for ever to the namespace that its thread was in when it was made.
        with open("/proc/thread-self/ns/net") as here, open(f"/proc/{self.holder.pid}/ns/net") as there:  # noqa: PTH123
            _setns(there.fileno())
            try:
                yield
            finally:
                _setns(here.fileno())


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def network(directory: Path) -> Iterator[Network]:
    """Make one, with loopback up, an empty set of rules, and no name server."""
    (directory / "resolv.conf").write_text("")
    (directory / "nsswitch.conf").write_text("hosts: files dns\n")
    script = f"""
        set -e
        ip link set lo up
        nft add table inet faults
        nft 'add chain inet faults arriving {{ type filter hook input priority 0; }}'
        for one in resolv nsswitch; do
            [ -e /etc/$one.conf ] || : > /etc/$one.conf
            mount --bind {directory}/$one.conf "$(readlink -f /etc/$one.conf)"
        done
        echo up
        exec cat
    """
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PATH": PATH},
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        try:
            yield Network(holder, directory)
        finally:
            holder.kill()


# What a name server answers for a name: addresses, an error's code, or None, which is silence.
NXDOMAIN, SERVFAIL = 3, 2
Zone = Callable[[str], list[str] | int | None]


@dataclass
class NameServer:
    """Answers on UDP what ``zone`` says; ``asked`` are the names in the order in which they were asked for (A only)."""

    datagrams: socket.socket
    zone: Zone
    asked: list[str] = field(default_factory=list)

    def serve(self) -> None:
        with suppress(OSError):  # closed: the end
            while True:
                query, client = self.datagrams.recvfrom(4096)
                if not query:
                    return
                threading.Thread(target=self._answer, args=(query, client), daemon=True).start()

    def _answer(self, query: bytes, client: Any) -> None:
        labels, at = [], 12
        while (length := query[at]) != 0:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        (kind,) = struct.unpack_from("!H", query, at + 1)
        name = ".".join(labels).lower()
        if kind == 1:
            self.asked.append(name)
        found = self.zone(name)
        if found is None:
            return
        code, addresses = (found, []) if isinstance(found, int) else (0, found if kind == 1 else [])
        head = struct.pack("!2sHHHHH", query[:2], 0x8180 | code, 1, len(addresses), 0, 0)
        records = b"".join(
            struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(address) for address in addresses
        )
        with suppress(OSError):
            self.datagrams.sendto(head + query[12 : at + 5] + records, client)


@contextmanager
def name_server(network: Network, zone: Zone, *, host: str = "127.0.0.53") -> Iterator[NameServer]:
    """Serve names inside, as the only server that /etc/resolv.conf names."""
    network.resolver(f"nameserver {host}\n")
    server = NameServer(network.datagrams(host, 53), zone)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        with suppress(OSError):
            server.datagrams.shutdown(socket.SHUT_RDWR)
        server.datagrams.close()
