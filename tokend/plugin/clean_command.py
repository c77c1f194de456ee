"""Run of an operator's program in a clean environment, for kinds. Blocks. `machine.command` runs it."""

import os
from collections.abc import Mapping, Sequence

from tokend.machine import command
from tokend.plugin.secret_reading import PASSED_ON, check_path
from tokend.plugin.secret_source import SecretSource
from tokend.values.secret import Secret


def run_clean(
    argv: Sequence[str],
    added: Mapping[str, Secret],
    *,
    seconds: float,
    output_limit: int,
    environ: Mapping[str, str] = os.environ,
    stop: command.CommandStop | None = None,
) -> command.EndedCommand:
    """Run a program and wait for its end. See `provider.Runtime.run_command`."""
    child = {key: environ[key] for key in PASSED_ON if key in environ}
    # Bytes stay as they are: a secret need not be text.
    child |= {name: os.fsdecode(value.reveal_bytes()) for name, value in added.items()}
    check_path(SecretSource(command=tuple(argv)), child)
    return command.run_command(argv, child, seconds=seconds, output_limit=output_limit, stop=stop)
