"""Entry point: argv to a command. ``get`` and ``run`` bypass click: the first starts fast, the second stays small."""

import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    code: int | None = None
    if sys.argv[1:2] == ["get"]:
        from tokend.cli import get

        code = get.run(sys.argv[2:])
    elif sys.argv[1:2] == ["run"]:
        from tokend.cli import run

        code = run.run(sys.argv[2:])
    if code is not None:
        return code
    from tokend.cli.commands import command

    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
