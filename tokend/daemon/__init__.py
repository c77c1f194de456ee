"""The daemon process: composition root, reload, signals, systemd."""
