"""A tokend with a bug in a provider: it is started as ``python buggy.py python -m tokend …``.

Where its ``base_url`` ends in ``/bug``, a login fails as real bugs do: with messages that quote the secrets at hand.
"""

import sys
from typing import Any

from tokend.__main__ import main
from tokend.providers.projectx import ProjectX

real = ProjectX.fetch


async def fetch(self: ProjectX, runtime: Any, previous: Any) -> Any:
    if not self.base_url.endswith("/bug"):
        return await real(self, runtime, previous)
    assert self.api_key is not None
    secret = (await runtime.reveal(self.api_key)).reveal()
    try:
        return {}[secret]
    except KeyError:
        try:
            raise ValueError(f"invalid literal: {secret!r}")  # noqa: TRY301
        except ValueError as error:
            error.add_note(secret)
            raise ExceptionGroup(secret, [UnicodeError(secret), TypeError(f"got {secret}")]) from error


ProjectX.fetch = fetch  # type: ignore[method-assign]  # this is the bug

if __name__ == "__main__":
    sys.argv = ["tokend", *sys.argv[4:]]
    sys.exit(main())
