"""HTTP to upstreams: one client per exchange, name resolution, TLS, deadlines and size limits."""
