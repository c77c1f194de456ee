"""Names to addresses, in threads of its own: a resolver that is silent holds up those who ask for its names, and nobody
else.

libuv's pool, which a loop would use, looks up two names at a time and cannot be interrupted: eight names of a silent
zone kept every other provider from its upstream, and the daemon from its end.
"""

import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from tokend.machine.thread_pool import LOOKUP_THREADS, ThreadPool

# Also of a thread that hangs for good (a module of nsswitch.conf may): afterwards another one is risked.
LEFT_ALONE_SECONDS = 60.0


@dataclass(slots=True)
class _Look:
    """One look-up under way, for all who want to know."""

    done: anyio.Event = field(default_factory=anyio.Event)
    found: list[str] | None = None
    error: OSError | None = None


def system_addresses(host: str) -> list[str]:
    """What the system says, each address once, in its order (RFC 6724). Blocks; raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Resolver:
    """Look names up, each once at a time; ``look_up`` blocks in one of ``threads``."""

    def __init__(
        self, threads: ThreadPool | None = None, look_up: Callable[[str], list[str]] = system_addresses
    ) -> None:
        self._threads = threads or ThreadPool(LOOKUP_THREADS)
        self._system = look_up
        self._looks: dict[str, _Look] = {}
        self._hung: dict[str, float] = {}

    async def addresses(self, host: str, *, seconds: float) -> list[str]:
        """The addresses of ``host`` in the system's order; one that is an address already is its own.

        Raises OSError (socket.gaierror) as the system does, TimeoutError where it said nothing within ``seconds``. A
        name about which it was silent is not asked for again before that call has ended, or a minute is over.
        """
        if _is_address(host):
            return [host]
        while (look := self._looks.get(host)) is not None:
            await look.done.wait()
            if look.error is not None:
                raise look.error
            if look.found is not None:
                return look.found
            # Whoever asked has gone without an answer.
        if self._hung.get(host, 0.0) > time.monotonic():
            raise TimeoutError
        return await self._look_up(host, seconds)

    async def _look_up(self, host: str, seconds: float) -> list[str]:
        look = self._looks[host] = _Look()

        def call() -> list[str]:
            self._hung[host] = time.monotonic() + LEFT_ALONE_SECONDS
            try:
                return self._system(host)
            finally:
                self._hung.pop(host, None)

        try:
            look.found = await self._threads.run(call, seconds=seconds)
        except TimeoutError:
            raise  # not theirs who wait: they look for themselves
        except UnicodeError:
            look.error = socket.gaierror(socket.EAI_NONAME, "this cannot be a name")
            raise look.error from None
        except OSError as error:
            look.error = error
            raise
        finally:
            del self._looks[host]
            look.done.set()
        return look.found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
