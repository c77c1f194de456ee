"""A sandbox and a configuration of all kinds without a daemon, for tests of ``tokend check --try``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.running import CONFIG, short_directory, tokend, write_config
from tokend.sandbox import Sandbox


@contextmanager
def configuration(sandbox: Sandbox) -> Iterator[Path]:
    """A configuration in a directory of its own."""
    with short_directory() as directory:
        yield write_config(directory, CONFIG, url=sandbox.url)


def attempts(sandbox: Sandbox, vendor: str) -> int:
    """How many requests the vendor has got."""
    return int(sandbox.stage.journal.report()["counts"].get(vendor, 0))


def tried(config: Path, *names: str) -> tuple[int, dict[str, Any]]:
    """Try some tokens; returns the exit code and the answer."""
    done = tokend("check", str(config), "-o", "json", *(word for name in names for word in ("--try", name)))
    return done.code, json.loads(done.out)
