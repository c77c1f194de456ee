"""File sinks: one family with common keys for ownership, mode and announcements."""
