"""`tokend version`."""

from tests.cli.running import tokend
from tokend import __version__


def test_version_prints_the_version() -> None:
    """`tokend version`, and the option that people try first."""
    assert tokend("version").out == f"tokend {__version__}\n"
    assert tokend("--version").out == f"tokend {__version__}\n"
