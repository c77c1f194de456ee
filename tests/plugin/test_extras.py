"""Packages of extras: a missing one is named with the command that installs it."""

import sys

import pytest

from tokend.plugin.extras import require_package


def test_a_missing_package_is_named_with_its_command() -> None:
    """As pip takes it."""
    with pytest.raises(ValueError, match=r'^kind "x" needs the package nowhere_at_all: pip install "tokend\[x\]"$'):
        require_package("nowhere_at_all", kind="x", extra="x")


def test_a_package_that_is_there_is_not_imported() -> None:
    """A check of the configuration is quick."""
    require_package("lib2to3", kind="x", extra="x")
    assert "lib2to3" not in sys.modules
