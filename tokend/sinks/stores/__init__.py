"""Remote sinks: one file per kind of store."""
