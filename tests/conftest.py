"""Fixture of every test: a quiet log, whose level can be asked for again by `tokend.logs.configure`."""

import os

import pytest
import structlog

# Ten thousand simulated refreshes need no lines; tests of the log configure it themselves.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def pytest_configure(config: pytest.Config) -> None:
    """Search what the tests leave for secrets, where that is asked for."""
    if os.environ.get("TOKEND_SEARCH_SECRETS") == "1":
        from tests.secrets.suite import Search

        config.pluginmanager.register(Search())
