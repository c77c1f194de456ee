"""Check that a package which tokend does not bring by itself is installed, when a configuration needs it."""

from importlib.util import find_spec

# By key of a secret's place: the package that reads such a secret, and the extra that brings it.
OF_SECRETS = {"age": ("pyrage", "age"), "keyring": ("secretstorage", "keyring")}


def require_package(package: str, *, kind: str, extra: str) -> None:
    """Raise ValueError with the advice if the package that a kind needs is not installed. Imports nothing."""
    _require(package, f'kind "{kind}"', extra)


def require_package_of_secret(key: str) -> None:
    """Raise ValueError with the advice if the package that reads a secret at such a place is not installed."""
    package, extra = OF_SECRETS[key]
    _require(package, f"a secret of {{ {key} = }}", extra)


def _require(package: str, what: str, extra: str) -> None:
    if find_spec(package) is None:
        raise ValueError(f'{what} needs the package {package}: pip install "tokend[{extra}]"')
