"""``python -m tokend.sandbox``: the same command as ``tokend sandbox``."""

from tokend.sandbox.command import command

if __name__ == "__main__":
    command(prog_name="python -m tokend.sandbox")
