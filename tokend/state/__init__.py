"""Persistent state: a directory, or a memory file that systemd keeps."""
