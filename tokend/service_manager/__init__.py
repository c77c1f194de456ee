"""The protocols of systemd: sd_notify(3) and socket activation."""
