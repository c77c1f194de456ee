"""Kind ``command``: a token that a program of this machine prints (docs/kinds.md, command)."""

import shutil
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, cast

import orjson
from pydantic import Field, field_validator

from tokend.machine.command import EndedCommand
from tokend.plugin.field_roles import Role
from tokend.plugin.format_settings import FormatSettings
from tokend.plugin.found_token import Source
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.secret_table import SecretTable, Variables
from tokend.plugin.shown_text import looks_secret, shown
from tokend.plugin.token_formats import LARGEST_TEXT_BYTES, read_token
from tokend.values.errors import RejectedError, SecretError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

# Kubernetes' plugins read from it which version to print; kubectl sets it.
EXEC_INFO = "KUBERNETES_EXEC_INFO"
_EXEC_INFO = Secret(
    orjson.dumps(
        {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {"interactive": False}}
    )
)


class Command(FormatSettings):
    """A held token that a program prints. The program may call an upstream: minimum interval and backoff hold."""

    local: ClassVar[bool] = False

    kind: Literal["command"] = "command"
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1), Role.ACCOUNT]
    env: Variables = Field(default_factory=SecretTable)
    # Another list may end a rejection; it asks for no other token.
    rejected_exit: Annotated[tuple[Annotated[int, Field(ge=1, le=255)], ...], Field(strict=False), Role.CONNECTION] = ()

    @field_validator("command")
    @classmethod
    def _words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value[0] or any("\0" in word for word in value):
            raise ValueError(
                'the first word is the program: ["gcloud", "auth", "print-access-token"]; no word holds NUL'
            )
        return value

    @property
    def source(self) -> Source:
        """The program. Whether there is one of this name is not looked up: the loop must not wait for a disk."""
        return Source(f"command {shown(self.command[0])}", "printed")

    @property
    def env_text(self) -> SecretTable:
        """The variables that stand in the configuration: a profile, a region."""
        return cast(SecretTable, self.env).text()

    @property
    def account_fields(self) -> frozenset[str]:
        """The program with its words and the written variables. A secret is a credential, which may rotate.

        Another provider's token stands for its account.
        """
        tokens = {f"env.{name}" for name, source in self.env.items() if source.token is not None}
        return super().account_fields | {"env_text"} | tokens

    def secrets(self) -> dict[str, SecretSource]:
        """Return the secrets of ``env``, as ``env.NAME``."""
        return cast(SecretTable, self.env).secrets("env")

    def warnings(self, secrets: Mapping[str, Secret]) -> tuple[str, ...]:  # noqa: ARG002  # of the interface
        """Return warnings: a word looks like a secret, or there is no such program here. Blocks."""
        return tuple(self._warnings())

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Run the program once and read its token."""
        added = {name: await self._variable(runtime, source) for name, source in self.env.items()}
        if self.format == "exec-credential":
            added = {EXEC_INFO: _EXEC_INFO, **added}
        started = runtime.clock.instant()
        source = self.source
        ended = await self._run(runtime, source.name, added)
        self._refuse(ended, source.name)
        found = read_token(ended.output, self.format, source)
        return found.token(now=runtime.clock.instant(), counted_from=started, lifetime=self.lifetime, previous=previous)

    def _warnings(self) -> Iterator[str]:
        if any(looks_secret(word) for word in self.command):
            yield "command: a word looks like a secret, and every user of this machine sees it: put it into env"
        path = self.env_text.get("PATH")
        if shutil.which(self.command[0], path=None if path is None or path.literal is None else path.literal.reveal()):
            return
        yield f"command: {shown(self.command[0])} is no program on this machine that may be run"

    async def _variable(self, runtime: Runtime, source: SecretSource) -> Secret:
        secret = await runtime.reveal(source)
        if b"\0" in secret.reveal_bytes():
            raise SecretError(f"{source} holds a NUL, which no environment variable can hold")
        return secret

    async def _run(self, runtime: Runtime, name: str, added: Mapping[str, Secret]) -> EndedCommand:
        seconds = self.timeout.total_seconds()
        try:
            return await runtime.run_command(self.command, added, seconds=seconds, output_limit=LARGEST_TEXT_BYTES)
        except TimeoutError as error:
            raise TransientError(f"{name} {str(error) or f'did not end within {seconds:g} s: it was killed'}") from None
        except (OSError, ValueError) as error:
            raise TransientError(f"{name} cannot be run: {getattr(error, 'strerror', None) or error}") from None

    def _refuse(self, ended: EndedCommand, name: str) -> None:
        """Raise the error for a program that did not print a token. Its output may hold secrets: it is not shown."""
        if len(ended.output) > LARGEST_TEXT_BYTES:
            raise TransientError(f"{name} printed more than {LARGEST_TEXT_BYTES // 1024} KiB: it was killed")
        if ended.status < 0:
            raise TransientError(f"{name} was ended by signal {-ended.status}")
        if ended.status in self.rejected_exit:
            raise RejectedError(f"{name} ended with exit status {ended.status}, which rejected_exit names")
        if ended.status:
            raise TransientError(f"{name} failed with exit status {ended.status}")
