"""Kind ``json``: a file with the native object, or with the object that Trading Technologies' Python package reads."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import orjson

from tokend.files import read_own_file, read_whole
from tokend.plugin.sink import SinkRuntime
from tokend.sinks.files.base import FileSink
from tokend.sinks.files.drift import is_trusted_place
from tokend.values.errors import NewerGenerationError
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Lease, Token, native

SECOND = timedelta(seconds=1)

# A token's answer has at most 256 KiB (`upstream`), and some members stand beside it.
LARGEST_BYTES = 1024 * 1024
# Readers in JavaScript have no larger integers. Generations are Unix seconds.
FIRST_IMPOSSIBLE_GENERATION = 2**53


class JsonSink(FileSink):
    """A file with one line of JSON and a final newline."""

    kind: Literal["json"] = "json"
    layout: Literal["native", "tt"] = "native"

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        """Write the token, unless the file holds a newer one of ours: then raises `NewerGenerationError`."""
        return await runtime.run_in_thread(lambda: self._write_unless_newer(lease, runtime.fingerprint))

    def newer_generation(self, name: str, above: int, fingerprint: Callable[[Secret], str]) -> int | None:
        """Return the generation in the file, if it is above ``above`` and nobody but tokend can have written it.

        The fingerprint proves that the file was written with this state directory.
        """
        if self.layout != "native":
            return None
        try:
            # Nearly all files show no newer one: they cost no walk along the path.
            if _generation(read_whole(self.path, at_most=LARGEST_BYTES), name, fingerprint) <= above:
                return None
            found = _generation(
                read_own_file(self.path, at_most=LARGEST_BYTES, symlink=self.symlink), name, fingerprint
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        return found if found > above and is_trusted_place(self.path) else None

    def _write_unless_newer(self, lease: Lease, fingerprint: Callable[[Secret], str]) -> bool:
        found = self.newer_generation(lease.name, lease.generation, fingerprint)
        if found is not None:
            raise NewerGenerationError(
                f"{self.target}: it holds generation {found}, newer than {lease.generation}: not overwritten",
                generation=found,
            )
        return self.write_blocking(lease)

    def render(self, lease: Lease) -> bytes:
        """Return the JSON object in the configured layout."""
        return orjson.dumps(_tt(lease) if self.layout == "tt" else native(lease)) + b"\n"


def _generation(content: bytes, name: str, fingerprint: Callable[[Secret], str]) -> int:
    """Return the generation that a native object shows for the token ``name``; 0 if it is none of ours.

    Raises ValueError, LookupError, TypeError or AttributeError for anything but a native object.
    """
    shown = orjson.loads(content)
    generation = shown["generation"]
    if type(generation) is not int or not 0 < generation < FIRST_IMPOSSIBLE_GENERATION or shown["name"] != name:
        return 0
    return int(generation) if shown["fingerprint"] == fingerprint(Secret(shown["access_token"])) else 0


def _tt(lease: Lease) -> dict[str, JSON]:
    """Return the object of ``tt_token.json`` (docs/vendors.md, tt), for both generations of the vendor's package.

    ``seconds_until_expiry`` is the token's whole lifetime, and its newer name has the same value. Readers add it to
    ``acquisition_time``, a naive *local* time, and compare the sum with their naive local time.
    """
    token = lease.token
    # Of wall times, because the reader adds them up again. The boot times are floats: rounding would lose a second.
    life = None if token.expires_at is None else (token.expires_at.wall - token.issued_at.wall) // SECOND
    return {
        "status": "Ok",
        "access_token": token.value.reveal(),
        "token_type": token.token_type,
        "seconds_until_expiry": life,
        "seconds_until_expiry_on_save": life,
        "acquisition_time": _acquired(token, life).isoformat(),
    }


def _acquired(token: Token, life: int | None) -> datetime:
    """Return the naive local time that gives the naive local time of the expiry when ``life`` seconds are added.

    It is the time of the request, except where the clocks are changed before the expiry: then the sum has to be right.
    """
    if token.expires_at is None or life is None:
        return token.issued_at.wall.astimezone().replace(tzinfo=None)
    return token.expires_at.wall.astimezone().replace(tzinfo=None) - life * SECOND
