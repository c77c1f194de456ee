"""HTTP/1.1 over a Unix socket: how other programs ask for tokens (README, "Sockets").

`server` binds and watches, `connection` speaks HTTP, `routes` answers. What the answers mean is the engine's affair;
nothing here refreshes, stores or retries.
"""
