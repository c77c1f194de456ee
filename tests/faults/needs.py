"""Requirements of tests of real faults: most take seconds, root, or programs that not every machine has.

``TOKEND_FAULT_TESTS=1`` runs them all and skips what cannot run here; ``TOKEND_REQUIRE_FAULTS=1`` runs them all and
fails there.
"""

import os
import shutil
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("TOKEND_REQUIRE_FAULTS") == "1"
WANTED = REQUIRED or os.environ.get("TOKEND_FAULT_TESTS") == "1"

# For what takes longer than everybody's run of the tests has.
when_asked_for = pytest.mark.skipif(
    not WANTED, reason="real faults take minutes: set TOKEND_FAULT_TESTS=1 (or TOKEND_REQUIRE_FAULTS=1)"
)


def need(*programs: str, root: bool = False) -> None:
    """Go on only where this is possible here; skip, or fail where everything is required."""
    missing = [
        program for program in programs if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None
    ]
    if root and os.geteuid() != 0:
        missing.insert(0, "root")
    if missing:
        lack(f"not here: {', '.join(missing)}")


def lack(what: str) -> NoReturn:
    """Skip because of what this machine lacks, or fail where everything is required."""
    if REQUIRED:
        pytest.fail(what)
    pytest.skip(what)
