"""Back ends of the persistent state: a directory, or a memory file that systemd stores."""
