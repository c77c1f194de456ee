"""From argv to what is asked for. ``tokend get`` has a way of its own, so that it starts as fast as Python does."""

import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    if sys.argv[1:2] == ["get"]:
        from tokend.cli.get import run

        code = run(sys.argv[2:])
        if code is not None:
            return code
    from tokend.cli.commands import command

    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
