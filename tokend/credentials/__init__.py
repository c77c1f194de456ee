"""Raw tokens over Unix sockets: systemd credentials and socket sinks."""
