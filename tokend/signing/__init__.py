"""Pure functions that sign: JWTs, hashes of requests, HMACs. No clock, no network, no settings."""
