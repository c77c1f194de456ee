"""Entry point. ``get`` and ``run`` bypass click: ``get`` starts as fast as Python, and ``run`` stays small."""

import os
import sys


def main() -> int:
    """Run the command line and return the exit code."""
    try:
        code = _run(sys.argv[1:])
    except Exception as error:
        if not _has_threads():
            raise
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    if _has_threads():
        # A plug-in's thread would keep the interpreter from ending.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(arguments: "list[str]") -> int:
    code: int | None = None
    if arguments[:1] == ["get"]:
        from tokend.cli import get

        code = get.run(arguments[1:])
    elif arguments[:1] == ["run"]:
        from tokend.cli import run

        code = run.run(arguments[1:])
    if code is not None:
        return code
    from tokend.cli import commands

    return commands.main(arguments)


def _has_threads() -> bool:
    plugin_run = sys.modules.get("tokend.plugin.plugin_run")
    return plugin_run is not None and bool(plugin_run.threads_left())


if __name__ == "__main__":
    sys.exit(main())
