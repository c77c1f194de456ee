"""Modules that third parties would import, and that a daemon never uses: kept out before the first of those imports.

Measured on a start with five providers: rich 60 ms and 5 MB, plug-ins of pydantic 25 ms and 2.4 MB.
"""

import sys
from types import ModuleType


def keep_out() -> None:
    """Keep these modules from being imported. Call it before anything that imports structlog or pydantic."""
    # structlog imports these wherever they are installed: rich for tracebacks that a daemon never draws. None makes the
    # import fail as if they were absent.
    for name in ("rich", "twisted"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    # pydantic reads the metadata of every installed package to find plug-ins. A plug-in would see every value that is
    # validated, also one that is a secret by mistake.
    loader = ModuleType("pydantic.plugin._loader")
    loader.get_plugins = lambda: ()  # type: ignore[attr-defined]
    sys.modules.setdefault(loader.__name__, loader)
    # watchfiles also restarts programs, for which it imports multiprocessing.
    restarting = ModuleType("watchfiles.run")
    restarting.run_process = restarting.arun_process = None  # type: ignore[attr-defined]
    sys.modules.setdefault(restarting.__name__, restarting)
