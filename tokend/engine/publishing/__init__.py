"""Publishing of tokens: one task per sink, which keeps its target up to date."""
