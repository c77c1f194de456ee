"""Check that a package which tokend does not bring by itself is installed, when a configuration names its kind."""

from importlib.util import find_spec


def require_package(package: str, *, kind: str, extra: str) -> None:
    """Raise ValueError with the advice if the package that a kind needs is not installed. Imports nothing."""
    if find_spec(package) is None:
        raise ValueError(f'kind "{kind}" needs the package {package}: pip install "tokend[{extra}]"')
