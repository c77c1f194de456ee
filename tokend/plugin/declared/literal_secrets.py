"""Texts of a declared request that look like secrets: a warning names the place of each."""

import re
from collections.abc import Iterator

from tokend.plugin.declared.request import RequestSettings
from tokend.plugin.shown_text import looks_secret

# Names of headers whose value is a credential.
_CREDENTIAL = re.compile(r"auth|cookie|secret|token|(api|access|app)[-_]?key", re.IGNORECASE)


def literal_secrets(request: RequestSettings, table: str) -> Iterator[str]:
    """Yield the place of each text that looks like a secret, as ``table.headers.NAME``."""
    for where, text in request.texts():
        literal = "".join(part for part in text.parts if isinstance(part, str))
        is_credential = where[0] == "headers" and not text.names and _CREDENTIAL.search(str(where[1]))
        if is_credential or looks_secret(literal):
            yield ".".join(map(str, (table, *where)))
