"""Outbound HTTP: one client per exchange, name resolution, TLS, deadlines and size limits."""
