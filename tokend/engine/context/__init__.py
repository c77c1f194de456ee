"""Objects that the parts of the engine share, and the interfaces between the engine and the servers."""
