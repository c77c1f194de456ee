"""Entry point of the program. ``tokend get`` takes a path without click, so that it starts as fast as Python."""

import sys


def main() -> int:
    """Run the command line and return the exit code."""
    if sys.argv[1:2] == ["get"]:
        from tokend.cli.get import run

        code = run(sys.argv[2:])
        if code is not None:
            return code
    from tokend.cli import commands

    return commands.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
