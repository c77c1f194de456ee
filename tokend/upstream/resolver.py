"""Look-up of names in threads of its own: a name server that hangs delays only the requests for its names.

libuv's pool, which the event loop would use, looks up two names at a time and cannot be interrupted. Eight names of a
zone that hung kept every other provider from its upstream, and kept the daemon from ending.
"""

import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from tokend.machine.thread_pool import LOOKUP_THREADS, ThreadPool

# A module of nsswitch.conf may hang for ever. After this time another thread is risked.
LEFT_ALONE_SECONDS = 60.0


@dataclass(slots=True)
class _Look:
    """One running look-up, shared by all requests for its name."""

    done: anyio.Event = field(default_factory=anyio.Event)
    found: list[str] | None = None
    error: OSError | None = None


def system_addresses(host: str) -> list[str]:
    """Return the system's addresses of ``host``, each once, in its order (RFC 6724). Blocks. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Resolver:
    """Look up names, each once at a time. ``look_up`` blocks, in one of ``threads``."""

    def __init__(
        self, threads: ThreadPool | None = None, look_up: Callable[[str], list[str]] = system_addresses
    ) -> None:
        self._threads = threads or ThreadPool(LOOKUP_THREADS)
        self._system = look_up
        self._looks: dict[str, _Look] = {}
        self._hung: dict[str, float] = {}

    async def addresses(self, host: str, *, seconds: float) -> list[str]:
        """Return the addresses of ``host`` in the system's order. An address is returned unchanged.

        Raises OSError (socket.gaierror) as the system does, TimeoutError after ``seconds`` without an answer. A name
        whose look-up hangs is not looked up again before that call has ended or a minute has passed.
        """
        if _is_address(host):
            return [host]
        while (look := self._looks.get(host)) is not None:
            await look.done.wait()
            if look.error is not None:
                raise look.error
            if look.found is not None:
                return look.found
            # The request that started the look-up was cancelled or timed out: start another one.
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
            raise  # only for this request: the others look up the name themselves
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
