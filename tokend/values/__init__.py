"""Immutable values and errors that every room may use."""
