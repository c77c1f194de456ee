"""Logins that a person begins and ends: `tokend login`, `tokend logout`."""
