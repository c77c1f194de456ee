"""File sinks: one family with shared ownership, modes and error messages."""
