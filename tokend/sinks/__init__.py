"""Kinds of sinks: targets that tokend writes a token to, or that clients read. `tokend.kinds` lists the kinds."""
