"""A list of names in a message: the first of them, and how many there are besides."""

from collections.abc import Sequence

MOST_NAMES = 10
LONGEST_NAME = 64


def few(names: Sequence[str]) -> str:
    """Return the names as ``a, b``; of many the first ten, as ``a, b and 97 more``, and the beginning of long ones."""
    listed = ", ".join(name[:LONGEST_NAME] for name in names[:MOST_NAMES])
    return listed if len(names) <= MOST_NAMES else f"{listed} and {len(names) - MOST_NAMES} more"
