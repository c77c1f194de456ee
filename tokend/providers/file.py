"""Kind ``file``: a token in a file that another program renews (docs/kinds.md, file)."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Annotated, ClassVar, Literal

from tokend.plugin.declared.expressions import ExpressionField
from tokend.plugin.field_roles import Role
from tokend.plugin.format_settings import FormatSettings
from tokend.plugin.found_token import FoundToken, Source
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_inspection import exposure
from tokend.plugin.secret_reading import check_path
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings_base import AnchoredPath
from tokend.plugin.settled_file import READ_SECONDS, SETTLED_SECONDS, FileContent, read_now
from tokend.plugin.strict_json import parse_value
from tokend.plugin.token_formats import LARGEST_TEXT_BYTES, find_token, read_token
from tokend.values.errors import SecretError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

# A writer that does not come to an end within so many readings is waited for: its end wakes us.
READINGS = 4


class File(FormatSettings):
    """A held token that somebody else renews in a file. The file is watched; there is no request."""

    is_read_from_file: ClassVar[bool] = True
    settled_seconds: ClassVar[float] = SETTLED_SECONDS

    kind: Literal["file"] = "file"
    path: Annotated[AnchoredPath, Role.ACCOUNT]
    select: Annotated[ExpressionField | None, Role.ACCOUNT] = None

    @property
    def source(self) -> Source:
        """The file."""
        return Source(str(self._place), "holds")

    def warnings(self, secrets: Mapping[str, Secret]) -> tuple[str, ...]:  # noqa: ARG002  # of the interface
        """Return warnings about the file: that it holds no token now, and that everybody may read it. Blocks."""
        return tuple(self._warnings())

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Read the file until it is not being written, and take its token."""
        content = await self._content(runtime)
        found = await runtime.run_in_thread(partial(self._found, content), seconds=READ_SECONDS)
        now = runtime.clock.instant()
        # The seconds in a file count from when it was written.
        written = now.after(-content.written_seconds)
        return found.token(now=now, counted_from=written, lifetime=self.lifetime, previous=previous)

    async def _content(self, runtime: Runtime) -> FileContent:
        """Read the file. One that was changed just now is read again a little later: it must be the same then."""
        before = await self._read(runtime)
        for _ in range(READINGS):
            if before.changed_seconds >= self.settled_seconds:
                return before
            await runtime.clock.sleep(self.settled_seconds)
            now = await self._read(runtime)
            if now.is_same(before):
                return now
            before = now
        raise TransientError(f"{self.source.name} keeps changing while it is read")

    async def _read(self, runtime: Runtime) -> FileContent:
        try:
            return await runtime.run_in_thread(self._read_now, seconds=READ_SECONDS)
        except TimeoutError as error:
            why = str(error) or f"it hangs, for {READ_SECONDS:g} s"
            raise TransientError(f"{self.source.name} could not be read: {why}") from None

    def _read_now(self) -> FileContent:
        check_path(self._place)
        return read_now(self.path, self.source.name, limit=LARGEST_TEXT_BYTES)

    def _found(self, content: FileContent) -> FoundToken:
        """Find the token in the file. Blocks for as long as `Expression.find`."""
        if self.select is None:
            return read_token(content.raw, self.format, self.source)
        name = self.source.name
        selected = self.select.find(self.source.said(lambda: parse_value(content.raw, name)))
        if selected is None:
            raise self.source.fault(f"nothing at select = {self.select.text!r}")
        return find_token(selected, self.format, self.source)

    @property
    def _place(self) -> SecretSource:
        return SecretSource(file=self.path)

    def _warnings(self) -> Iterator[str]:
        with suppress(SecretError):  # an unsafe path is an error, which says so
            try:
                self._found(self._read_now())
            except TransientError as error:
                yield f"path: {error.detail}"
        if (exposed := exposure(self._place)) is not None:
            yield f"path: {exposed}"
