"""The interfaces and helpers for authors of provider and sink kinds."""
