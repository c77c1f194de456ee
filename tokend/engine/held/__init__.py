"""Held providers: tokens that are fetched or minted ahead of time."""
