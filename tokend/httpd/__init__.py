"""An HTTP/1.1 server for Unix sockets and loopback."""
