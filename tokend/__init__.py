"""tokend keeps short-lived API tokens fresh for every program on a host."""

__version__ = "0.3.0"
