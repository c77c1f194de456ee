"""Interface between the stage and a vendor."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from tokend.sandbox.messages import Reply, Request


class Vendor(Protocol):
    """One vendor. Implementers answer by the vendor's documented rules; they must not sleep, log, or inject faults.

    Many threads call at once: state needs a lock. An exception is a bug; the server logs it and answers 500.
    """

    name: str  # also in option names, control requests and the journal
    # Accepted account: {field: value}, replaced as a whole. No answer holds a value; control endpoints list the fields.
    credentials: Mapping[str, str]
    # Methods and paths, as a caller writes them: for help and for the answer to an unknown path.
    paths: ClassVar[tuple[str, ...]]

    def route(self, path: str) -> str | None:
        """Return the path for the journal, with secrets masked; None if the path is not this vendor's."""
        ...

    def answer(self, request: Request) -> Reply:
        """Answer one request by the vendor's documented rules."""
        ...

    def refusal(self, request: Request, code: int | str | None) -> Reply:
        """Answer as if the credentials were wrong. ``code`` is the vendor's own error code; None is its usual one."""
        ...

    def failure(self, status: int) -> Reply:
        """Answer with the vendor's error body for an HTTP status: 429 and the 5xx."""
        ...
