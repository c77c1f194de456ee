"""Fixture of every test: a quiet log, whose level can be asked for again by `tokend.logs.configure`."""

import os
import signal

import pytest
import structlog

# Ten thousand simulated refreshes need no lines; tests of the log configure it themselves.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def pytest_configure(config: pytest.Config) -> None:
    """Have signals as at a terminal, and search what the tests leave for secrets, where that is asked for.

    A shell's background job ignores SIGINT, one of nohup SIGHUP, and so would every program that the tests start.
    """
    for number, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, action)
    if os.environ.get("TOKEND_SEARCH_SECRETS") == "1":
        from tests.secrets.suite import Search

        config.pluginmanager.register(Search())
