"""What every test shares: a quiet log, whose level can be asked for again by `tokend.logs.configure`."""

import structlog

# Ten thousand simulated refreshes need no lines; tests of the log configure it themselves.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
