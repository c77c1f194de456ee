"""Vendors of the sandbox, a file for each."""
