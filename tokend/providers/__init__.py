"""Kinds of providers, one file each: frozen models whose fields are TOML keys. `tokend.kinds` lists the kinds."""
