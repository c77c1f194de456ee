"""Entry point. ``get`` and ``run`` bypass click: ``get`` starts as fast as Python, and ``run`` stays small."""

import os
import sys


def main() -> int:
    """Run the command line and return the exit code."""
    code: int | None = None
    if sys.argv[1:2] == ["get"]:
        from tokend.cli import get

        code = get.run(sys.argv[2:])
    elif sys.argv[1:2] == ["run"]:
        from tokend.cli import run

        code = run.run(sys.argv[2:])
    if code is not None:
        return code
    from tokend.cli import commands

    code = commands.main(sys.argv[1:])
    plugin_run = sys.modules.get("tokend.plugin.plugin_run")
    if plugin_run is not None and plugin_run.threads_left():
        # A plug-in's thread would keep the interpreter from ending.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
