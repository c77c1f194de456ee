"""Peer identity and access decisions."""
