"""Interfaces, settings and helper functions for the authors of provider and sink kinds."""
