"""What the server asks of a vendor's part."""

from collections.abc import Mapping
from typing import Protocol

from tokend.sandbox.messages import Reply, Request


class Vendor(Protocol):
    """One vendor, played faithfully. Implementers answer; they must not sleep, log, or inject faults themselves.

    Called from many threads at once: state needs a lock. A bug shows as an exception, which the server turns into
    a 500.
    """

    name: str  # in options, control requests and the journal
    # The accepted account, by field; replaced as a whole. Never sent to anybody: only its fields' names are told.
    credentials: Mapping[str, str]

    def route(self, path: str) -> str | None:
        """Say under which name a path is recorded (secrets in it masked), or None where it is not this vendor's."""
        ...

    def answer(self, request: Request) -> Reply:
        """Answer one request by the vendor's documented rules."""
        ...

    def refusal(self, request: Request, code: int | str | None) -> Reply:
        """Answer as if the credentials were bad. ``code`` is the vendor's own error code; None is its usual one."""
        ...

    def failure(self, status: int) -> Reply:
        """Answer with the vendor's error body for an HTTP status: 429 and the 5xx."""
        ...
