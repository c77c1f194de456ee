"""Remote sinks: one file per kind of store; kinds do not import each other."""
