"""Kinds of sinks: places that a token is written to or read from. `tokend.kinds` lists them."""
