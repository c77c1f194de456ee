"""Entry point. ``get`` and ``run`` bypass click: ``get`` starts as fast as Python, and ``run`` stays small."""

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

    return commands.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
