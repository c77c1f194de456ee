"""Everything that the engine's parts share, and the interfaces of the engine."""
