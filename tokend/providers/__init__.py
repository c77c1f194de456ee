"""Kinds of providers, one file each: frozen models whose fields are their TOML keys. `tokend.kinds` lists them."""
